/** The OPC UA library, loaded once: without its key probe, and with its own messages going to our log. */
import { createRequire } from 'node:module';
import { format, stripVTControlCharacters } from 'node:util';
import type { Logger } from 'pino';

type Library = typeof import('node-opcua-client');

const ours = createRequire(import.meta.url);

let loading: Promise<Library> | undefined;
let sink: Logger | undefined;

/** Loads the library; from now on what it has to say goes to `log`, at level debug. */
export async function loadLibrary(log?: Logger): Promise<Library> {
  sink = log ?? sink;
  loading ??= load();
  return loading;
}

async function load(): Promise<Library> {
  skipProbe();
  const library = await import('node-opcua-client');
  const say = (...parts: unknown[]): void => {
    sink?.debug({ library: 'node-opcua' }, plain(format(...parts)));
  };
  keepSeverity(library);
  library.setErrorLogger(say);
  library.setWarningLogger(say);
  library.setDebugLogger(say);
  return library;
}

/**
 * On Node 20 and 21 the library makes a 4096-bit RSA key as it is loaded, only to warn of a padding that no policy of ours uses: see
 * docs/decisions/0050. An empty module in its place costs nothing; where the file is not found, it is loaded as it comes.
 */
function skipProbe(): void {
  try {
    const path = fileOf('node-opcua-secure-channel', 'verify_pcks1.js');
    const nothing = new (ours('node:module') as typeof import('node:module'))(path);
    nothing.filename = path;
    nothing.loaded = true;
    nothing.exports = { testRSAPKCS1V15_EncryptDecrypt: async () => {} };
    ours.cache[path] ??= nothing;
  } catch {
    // Slower, that is all.
  }
}

/**
 * The library takes a status that it does not know (a vendor's own, one of a newer specification) for Bad, and tells the console of each.
 * What it means is in its two highest bits all the same: it is kept, without a name. Where the file is not found, all is as it comes.
 */
function keepSeverity({ StatusCodes }: Library): void {
  try {
    const codes = ours(fileOf('node-opcua-status-code', 'opcua_status_code.js'));
    const known = new Set(Object.values(StatusCodes).map(({ value }: { value: number }) => value));
    const StatusCode = StatusCodes.Good.constructor as new (status: object) => object;
    const find = codes.getStatusCodeFromCode as (value: number) => object;
    codes.decodeStatusCode = (stream: { readUInt32(): number }): object => {
      const value = stream.readUInt32();
      return known.has((value & 0xffff_0000) >>> 0)
        ? find(value)
        : new StatusCode({ value, name: '', description: '' });
    };
  } catch {
    // Told as bad, that is all.
  }
}

/** The path of one file of a package that the library is made of. */
function fileOf(name: string, file: string): string {
  return createRequire(ours.resolve('node-opcua-client'))
    .resolve(name)
    .replace(/index\.js$/, file);
}

/** Without the colours of a terminal, on one line. */
function plain(text: string): string {
  return stripVTControlCharacters(text).replaceAll(/\s+/g, ' ').trim();
}
