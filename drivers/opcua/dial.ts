/** Connects to a server: finds its endpoint, looks at its certificate, opens the channel, signs in. */
import { createPrivateKey, type X509Certificate } from 'node:crypto';
import {
  type ClientSession,
  crypto_utils as crypto,
  DataTypeExtractStrategy,
  type EndpointDescription,
  MessageSecurityMode,
  OPCUAClient,
  type OPCUAClientOptions,
  SecurityPolicy,
  type UserIdentityInfo,
  UserTokenType,
} from 'node-opcua-client';
import type { DriverContext } from '../../src/driver.js';
import { messageOf, TidegateError } from '../../src/errors.js';
import { type Chain, endsSoon, fingerprintOf, inspect, readChain, subjectOf } from './certificate.js';
import { chooseEndpoint, needsCertificate, securityOf, tokenTypeOf } from './endpoint.js';
import { type Identity, ownIdentity } from './own.js';
import type { OpcuaConnection } from './schema.js';
import type { Trust } from './trust.js';

/** An open channel with a session on it. */
export interface Dialled {
  readonly client: OPCUAClient;
  readonly session: ClientSession;
  /** Breaks the connection, whatever state it is in. */
  cut(): void;
  /** The server's certificate; undefined where no security needs one. */
  readonly server: Chain | undefined;
  readonly own: X509Certificate;
}

/** Milliseconds that a server keeps a session of which it hears nothing, or longer where `keep_alive` is. */
const SESSION_TIMEOUT = 30_000;

/**
 * Connects and signs in.
 * @throws TidegateError LINK_DOWN when nobody is there, LINK_UNTRUSTED when its certificate is not trusted, LINK_REFUSED when it does not
 *   offer or accept what is configured
 */
export async function dial(connection: OpcuaConnection, context: DriverContext, trust: Trust): Promise<Dialled> {
  const identity = await ownIdentity(trust.folder, { gateway: context.gateway });
  const endpoint = chooseEndpoint(await discover(connection, identity), connection);
  const server = needsCertificate(endpoint, connection)
    ? await checkServer(endpoint, connection, context, trust)
    : undefined;
  const { policy, mode } = securityOf(connection);
  const line = openClient(connection, identity, {
    securityPolicy: policy,
    securityMode: mode,
    ...(server && { serverCertificate: endpoint.serverCertificate }),
  });
  try {
    await within(connection, openChannel(line.client, connection, identity));
    // Over the channel that is now secure: what was offered before may have been forged on the way.
    chooseEndpoint(await within(connection, line.client.getEndpoints()), connection);
    const session = await within(connection, line.client.createSession(userOf(connection)));
    return { ...line, session, server, own: identity.certificate };
  } catch (error) {
    line.cut();
    throw asLinkError(error, connection, identity);
  }
}

/** @throws TidegateError LINK_REFUSED when the server ends it: many do so with whoever they do not trust, without a word */
async function openChannel(client: OPCUAClient, connection: OpcuaConnection, identity: Identity): Promise<void> {
  try {
    await client.connect(connection.endpoint);
  } catch (error) {
    const secured = securityOf(connection).policy !== SecurityPolicy.None;
    if (secured && /disconnected|ECONNRESET|ended|closed/i.test(messageOf(error)) && !statusOf(error))
      throw untrusting('it ended the connection instead of securing it', identity, error);
    throw error;
  }
}

/** Asks what is offered, without security: as OPC UA Part 4 §5.5 has it. */
async function discover(connection: OpcuaConnection, identity: Identity): Promise<EndpointDescription[]> {
  const line = openClient(connection, identity, {
    securityPolicy: SecurityPolicy.None,
    securityMode: MessageSecurityMode.None,
  });
  try {
    await within(connection, line.client.connect(connection.endpoint));
    return await within(connection, line.client.getEndpoints());
  } catch (error) {
    throw asLinkError(error, connection, identity);
  } finally {
    void line.client.disconnect().catch(() => {});
    line.cut();
  }
}

/**
 * Looks at the server's certificate (OPC UA Part 4 §6.1.3).
 * @throws TidegateError LINK_UNTRUSTED when a person has to decide, or it cannot be accepted
 */
async function checkServer(
  { serverCertificate, server }: EndpointDescription,
  connection: OpcuaConnection,
  { connection: id, log }: DriverContext,
  trust: Trust,
): Promise<Chain> {
  const chain = chainOf(serverCertificate);
  const host = hostOf(connection.endpoint);
  const findings = inspect(chain, { host, applicationUri: server.applicationUri ?? '' });
  const who = `the certificate of ${subjectOf(chain[0])} (SHA-256 ${fingerprintOf(chain[0]).slice(0, 16)}…)`;
  if (findings.fatal !== undefined)
    throw new TidegateError('LINK_UNTRUSTED', `${who} cannot be accepted: ${findings.fatal}`);
  const { is: verdict, note } = await trust.judge(chain);
  if (verdict === 'rejected') throw new TidegateError('LINK_UNTRUSTED', `${who} was rejected by \`tidegate trust\``);
  if (verdict === 'revoked')
    throw new TidegateError('LINK_UNTRUSTED', `${who} cannot be accepted: ${note} (BadCertificateRevoked)`, {
      hint: 'Give the server a new certificate.',
    });
  if (verdict === 'unknown' || verdict === 'waiting') {
    const notes = [...Object.values(findings), ...(note === undefined ? [] : [note])];
    if (await trust.putAside(chain, { connection: id, endpoint: connection.endpoint, notes }))
      log.warn(`${who} is not known: it waits for \`tidegate trust\``);
    const why = note === undefined ? '' : `; ${note}`;
    throw new TidegateError(
      'LINK_UNTRUSTED',
      `waiting for trust: ${who} is to be approved by \`tidegate trust\`${why}`,
    );
  }
  if (findings.time !== undefined && !connection.accept_expired)
    throw new TidegateError('LINK_UNTRUSTED', `${who} cannot be accepted: ${findings.time}`, {
      hint: 'Renew it in the server and check both clocks; or write accept_expired: true.',
    });
  // Whoever approved the certificate itself saw for what it was made; an authority vouches for no more than that.
  const misused = findings.names ?? findings.usage;
  if (misused !== undefined && verdict === 'vouched')
    throw new TidegateError('LINK_UNTRUSTED', `${who} cannot be accepted: ${misused}`, {
      hint: 'Write the endpoint by a name of the certificate, or approve the certificate itself.',
    });
  return chain;
}

/** Tells of certificates that end soon: `what` is theirs or ours. */
export function warnOfEnd(what: string, certificate: X509Certificate, log: DriverContext['log']): void {
  const ends = endsSoon(certificate);
  if (ends !== undefined) log.warn({ certificate: fingerprintOf(certificate) }, `${what} ${ends}`);
}

function chainOf(bytes: Buffer | null): Chain {
  try {
    return readChain(bytes ?? Buffer.alloc(0));
  } catch (cause) {
    throw new TidegateError('LINK_UNTRUSTED', `the server's certificate cannot be read: ${messageOf(cause)}`, {
      cause,
    });
  }
}

/** Host name or address of an endpoint. */
function hostOf(endpoint: string): string {
  return new URL(endpoint.replace(/^opc\.tcp:/, 'http:')).hostname.replace(/^\[|\]$/g, '');
}

function userOf(connection: OpcuaConnection): UserIdentityInfo {
  const { username = '', password = '', certificate = '', key = '' } = connection;
  switch (tokenTypeOf(connection)) {
    case UserTokenType.UserName:
      return { type: UserTokenType.UserName, userName: username, password };
    case UserTokenType.Certificate:
      return signInWith(certificate, key);
    default:
      return { type: UserTokenType.Anonymous };
  }
}

/** @throws TidegateError LINK_REFUSED when they cannot be used */
function signInWith(pem: string, key: string): UserIdentityInfo {
  try {
    const [certificate] = readChain(Buffer.from(pem));
    if (!certificate.checkPrivateKey(createPrivateKey(key))) throw new Error('the key is not that of the certificate');
    return {
      type: UserTokenType.Certificate,
      certificateData: certificate.raw,
      keyOperations: crypto.keyOperationsFromPrivateKey(crypto.coercePEMorDerToPrivateKey(key)),
    };
  } catch (cause) {
    throw new TidegateError(
      'LINK_REFUSED',
      `the certificate and key to sign in with cannot be used: ${messageOf(cause)}`,
      {
        hint: 'Write `certificate` and `key` as PEM text, or name their files.',
        cause,
      },
    );
  }
}

/** A client that tries once: to try again is the runtime's. */
function openClient(
  { connect_timeout: timeout, keep_alive: silence }: OpcuaConnection,
  { certificate, key, uri }: Identity,
  options: OPCUAClientOptions,
): Pick<Dialled, 'client' | 'cut'> {
  const client = OPCUAClient.create({
    ...options,
    applicationName: 'Tidegate',
    applicationUri: uri,
    connectionStrategy: { maxRetry: 0 },
    keepSessionAlive: false,
    endpointMustExist: false,
    dataTypeExtractStrategy: DataTypeExtractStrategy.Lazy,
    requestedSessionTimeout: Math.max(SESSION_TIMEOUT, 3 * silence),
    transportTimeout: timeout,
    certificateKeyPairProvider: {
      getCertificate: () => certificate.raw,
      getCertificateChain: () => [certificate.raw],
      getPrivateKey: () => ({ hidden: key }),
    },
  });
  let channel: { abortConnection(done: () => void): void; forceConnectionBreak(): void } | undefined;
  client.on('secure_channel_created', (created) => {
    channel = created;
  });
  return {
    client,
    cut: () => {
      channel?.forceConnectionBreak();
      channel?.abortConnection(() => {});
    },
  };
}

/** @throws TidegateError LINK_DOWN when it takes too long */
function within<T>({ connect_timeout: timeout }: OpcuaConnection, work: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(
      () => reject(new TidegateError('LINK_DOWN', `the server did not answer within ${timeout / 1000} s`)),
      timeout,
    );
    work.finally(() => clearTimeout(timer)).then(resolve, reject);
  });
}

/** What the library says, in our words. */
function asLinkError(error: unknown, { endpoint }: OpcuaConnection, identity: Identity): TidegateError {
  if (error instanceof TidegateError) return error;
  const text = messageOf(error).replaceAll(/\s+/g, ' ').trim();
  const status = statusOf(error);
  const detail = { cause: error };
  if (/ECONNREFUSED/.test(text)) return new TidegateError('LINK_DOWN', `nobody listens at ${endpoint}`, detail);
  if (/^Bad(Identity|User)/.test(status ?? ''))
    return new TidegateError('LINK_REFUSED', `the server refuses to sign us in (${status})`, {
      hint: 'Check username and password, or the certificate of the user, and what the server lets them do.',
      cause: error,
    });
  if (/^Bad(SecurityChecksFailed|Certificate)/.test(status ?? '')) return untrusting(`${status}`, identity, error);
  if (status === 'BadTooManySessions')
    return new TidegateError(
      'LINK_REFUSED',
      'the server has as many sessions as it allows (BadTooManySessions)',
      detail,
    );
  return new TidegateError('LINK_DOWN', `cannot connect to ${endpoint}: ${text}`, detail);
}

/** The status code that an error names, as far as it does. */
function statusOf(error: unknown): string | undefined {
  return /\bBad[A-Z]\w+/.exec(messageOf(error))?.[0];
}

function untrusting(why: string, { certificate }: Identity, cause: unknown): TidegateError {
  const sha1 = certificate.fingerprint.replaceAll(':', '').toLowerCase();
  return new TidegateError('LINK_REFUSED', `the server does not trust our certificate (${why}), SHA-1 ${sha1}`, {
    hint: 'Trust it in the server: `tidegate trust export` writes it to a file.',
    cause,
  });
}
