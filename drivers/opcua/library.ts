/** The OPC UA library, loaded once: without its key probe, and with its own messages going to our log. */
import { createRequire } from 'node:module';
import { format, stripVTControlCharacters } from 'node:util';
import type { Logger } from 'pino';

type Library = typeof import('node-opcua-client');

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
    const ours = createRequire(import.meta.url);
    const client = createRequire(ours.resolve('node-opcua-client'));
    const path = client.resolve('node-opcua-secure-channel').replace(/index\.js$/, 'verify_pcks1.js');
    const nothing = new (ours('node:module') as typeof import('node:module'))(path);
    nothing.filename = path;
    nothing.loaded = true;
    nothing.exports = { testRSAPKCS1V15_EncryptDecrypt: async () => {} };
    ours.cache[path] ??= nothing;
  } catch {
    // Slower, that is all.
  }
}

/** Without the colours of a terminal, on one line. */
function plain(text: string): string {
  return stripVTControlCharacters(text).replaceAll(/\s+/g, ' ').trim();
}
