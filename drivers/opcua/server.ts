/** An OPC UA server whose certificate and decisions are given to it. For the simulator and for tests. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { OPCUAServer, OPCUAServerOptions } from 'node-opcua-server';
import { messageOf, TidegateError } from '../../src/errors.js';
import { loadLibrary } from './library.js';
import type { Identity } from './own.js';

/** A certificate as the library hands it over. */
type Shown = Buffer | readonly Buffer[];

/** How to start. */
export interface ServerSettings {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  readonly identity: Identity;
  /** Where it keeps its certificate and key while it runs: the library reads them from files. */
  readonly folder: string;
  /** Whether a client, or a user that signs in by certificate, is let in; everybody when left out. */
  readonly accepts?: (certificate: Buffer) => boolean;
  readonly options?: OPCUAServerOptions;
}

/**
 * Makes a server that is ready to be filled and started.
 * @throws TidegateError USAGE when the server's package is not installed
 */
export async function prepareServer({
  host,
  port,
  identity,
  folder,
  accepts = () => true,
  options,
}: ServerSettings): Promise<OPCUAServer> {
  await loadLibrary();
  const { OPCUAServer: Server } = await import('node-opcua-server').catch((cause: unknown) => {
    throw new TidegateError(
      'USAGE',
      `an OPC UA server needs the optional package node-opcua-server: ${messageOf(cause)}`,
      {
        hint: 'Install it: npm install node-opcua-server; it is left out by npm install --omit=optional.',
        cause,
      },
    );
  });
  const { certificate, key, uri } = identity;
  const store = await decidingStore(accepts);
  const files = { certificateFile: join(folder, 'certificate.pem'), privateKeyFile: join(folder, 'key.pem') };
  writeFileSync(files.certificateFile, certificate.toString());
  writeFileSync(files.privateKeyFile, key.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 });
  const server = new Server({
    host,
    hostname: host,
    port,
    alternateHostname: [host],
    disableDiscovery: false,
    serverCertificateManager: store as never,
    userCertificateManager: store as never,
    ...files,
    ...options,
    serverInfo: { applicationUri: uri, productUri: 'urn:tidegate:simulator', ...options?.serverInfo },
  });
  await server.initialize();
  return server;
}

/** The library's certificate store, deciding by a function. */
async function decidingStore(accepts: (certificate: Buffer) => boolean): Promise<object> {
  const { StatusCodes } = await import('node-opcua-client');
  const first = (shown: Shown): Buffer => (Buffer.isBuffer(shown) ? shown : (shown[0] as Buffer));
  const status = (shown: Shown) => (accepts(first(shown)) ? StatusCodes.Good : StatusCodes.BadCertificateUntrusted);
  const judge = async (shown: Shown, done?: (error: null, verdict: unknown) => void) => {
    done?.(null, status(shown));
    return status(shown);
  };
  const nothing = async (): Promise<void> => {};
  return {
    referenceCounter: 0,
    initialize: nothing,
    dispose: nothing,
    checkCertificate: judge,
    getTrustStatus: judge,
    verifyCertificate: async (shown: Shown) => status(shown).name,
    trustCertificate: nothing,
    rejectCertificate: nothing,
    addIssuer: nothing,
    addRevocationList: nothing,
  };
}
