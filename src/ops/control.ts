/**
 * The control socket of a running gateway, `control.sock` in its data folder. Only the user that runs the gateway may connect.
 * Each connection asks once, in one line of JSON, and is answered in lines of JSON:
 *
 *     → {"ask":"watch"}      ← {"answer":{…}}   a snapshot at once and then one per second, until either side ends
 *     → {"ask":"…", …}       ← {"answer":{…}}   or {"problems":[{"code":…,"message":…,"hint":…,"place":…}]}, and the end
 *
 * Before its end a long answer may tell how far it is, in any number of lines `{"told":{…}}`. An empty line each second says that the
 * gateway is still at it. Whoever closes the connection meanwhile ends the work.
 */
import { chmodSync, closeSync, openSync, rmSync } from 'node:fs';
import { createConnection, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { CODES, type ErrorCode, messageOf, ProblemList, TidegateError } from '../errors.js';
import { toJson } from './text.js';

/** What a connection asks for; all keys but `ask` are for whoever answers it. */
export interface Request {
  readonly ask: string;
  readonly [key: string]: unknown;
}

/** Whoever asked. */
export interface Asker {
  /** Aborts when nobody waits for the answer any more, or the gateway stops. */
  readonly signal: AbortSignal;
  /** Tells how far the work is, before its answer. */
  tell(news: object): void;
}

/** How requests are answered, by what they ask. An answer is an object; what is thrown reaches the one that asked. */
export type Answers = Readonly<Record<string, (request: Request, asker: Asker) => object | Promise<object>>>;

/** A served control socket. */
export interface Control {
  /** Takes no more requests, and asks those at work to end; resolves when they are answered. */
  close(): Promise<void>;
}

/** A client that lags this many bytes behind has stopped reading. */
const LAG = 4_000_000;
/** Most characters of a request. */
const LONGEST_REQUEST = 100_000;

/** An error as it goes over the socket. */
type Problem = Pick<TidegateError, 'message'> & { code?: ErrorCode } & Partial<Pick<TidegateError, 'hint' | 'place'>>;
type Line<T> = { readonly answer: T } | { readonly told: object } | { readonly problems: readonly Problem[] };

/**
 * Serves snapshots to watchers, and `answers` to all others. The caller holds the data folder's lock, so a socket that is already
 * there was left by a dead process.
 * @throws what the system says, when the file system knows no sockets
 */
export async function serveControl(folder: string, snapshot: () => object, answers: Answers = {}): Promise<Control> {
  const clients = new Set<Socket>();
  const watchers = new Set<Socket>();
  const askers = new Map<Socket, AbortController>();
  const atWork = new Set<Promise<void>>();
  const timer = setInterval(tell, 1_000).unref();
  // Half open: whoever has said all that it asks may close its side and go on listening.
  const server = createServer({ allowHalfOpen: true }, (client) => {
    clients.add(client);
    client.on('error', () => {});
    client.on('close', () => {
      clients.delete(client);
      watchers.delete(client);
      askers.get(client)?.abort();
    });
    readRequest(client, (text) => {
      const work = serve(client, text).finally(() => atWork.delete(work));
      atWork.add(work);
    });
  });
  rmSync(join(folder, 'control.sock'), { force: true });
  const place = shortPlace(folder);
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(place.path, resolve);
    // The socket exists as soon as `listen` returns: closed to others before the event loop turns.
    chmodSync(place.path, 0o600);
  }).catch((error: unknown) => {
    clearInterval(timer);
    place.free();
    throw error;
  });
  server.unref();
  return {
    async close() {
      clearInterval(timer);
      const closed = new Promise((resolve) => server.close(resolve));
      for (const asker of askers.values()) asker.abort();
      await Promise.all(atWork);
      for (const client of clients) {
        if (watchers.has(client)) client.destroy();
        else client.destroySoon();
      }
      await closed;
      place.free();
    },
  };

  function tell(): void {
    for (const client of askers.keys()) send(client, '\n');
    if (watchers.size === 0) return;
    const line = lineOf({ answer: snapshot() });
    for (const client of watchers) send(client, line);
  }

  async function serve(client: Socket, text: string): Promise<void> {
    try {
      const request = requestOf(text);
      if (request.ask === 'watch') {
        client.write(lineOf({ answer: snapshot() }));
        watchers.add(client);
        return;
      }
      const answer = Object.hasOwn(answers, request.ask) ? answers[request.ask] : undefined;
      if (!answer) {
        const known = ['watch', ...Object.keys(answers)].join(', ');
        throw new TidegateError('USAGE', `the running gateway does not know "${request.ask}"; it knows ${known}`, {
          hint: 'The command and the gateway should be of the same version.',
        });
      }
      const asker = new AbortController();
      askers.set(client, asker);
      const tell = (news: object): void => send(client, lineOf({ told: news }));
      client.end(lineOf({ answer: await answer(request, { signal: asker.signal, tell }) }));
    } catch (error) {
      client.end(lineOf({ problems: problemsOf(error) }));
    } finally {
      askers.delete(client);
    }
  }
}

function send(client: Socket, text: string): void {
  if (client.writableLength > LAG) client.destroy();
  else client.write(text);
}

/** Calls back with the first line that a client says, or with what it said when that is too long or it says no more. */
function readRequest(client: Socket, then: (text: string) => void): void {
  let text = '';
  let done = false;
  const finish = (): void => {
    if (done) return;
    done = true;
    // What follows is not heard.
    client.resume();
    then(text);
  };
  client.setEncoding('utf8');
  client.on('end', finish);
  client.on('data', (chunk: string) => {
    if (done) return;
    text += chunk;
    if (text.includes('\n') || text.length > LONGEST_REQUEST) finish();
  });
}

function requestOf(text: string): Request {
  const line = text.split('\n', 1)[0] ?? '';
  let request: unknown;
  try {
    request = JSON.parse(line);
  } catch {
    // Told below.
  }
  if (typeof request === 'object' && request !== null && 'ask' in request && typeof request.ask === 'string')
    return request as Request;
  const hint = 'Write one line such as {"ask":"watch"}.';
  throw new TidegateError('USAGE', 'the control socket was asked nothing that it understands', { hint });
}

function lineOf(line: Line<object>): string {
  return `${toJson(line)}\n`;
}

function problemsOf(error: unknown): Problem[] {
  if (error instanceof ProblemList) return error.errors.flatMap(problemsOf);
  if (!(error instanceof TidegateError)) return [{ message: messageOf(error) }];
  const { code, message, hint, place } = error;
  return [{ code, message, hint, place }];
}

function errorOf(problems: readonly Problem[]): Error {
  const known = problems.flatMap(({ code, message, hint, place }) =>
    code && code in CODES ? [new TidegateError(code, message, { ...(hint && { hint }), ...(place && { place }) })] : [],
  );
  if (known.length === 0) return new Error(problems[0]?.message);
  return known.length === 1 ? (known[0] as TidegateError) : new ProblemList(known);
}

/**
 * Watches the gateway that runs on this data folder: each snapshot, until it ends or `signal` aborts.
 * @returns undefined when none runs there
 * @throws TidegateError CONFIG_FILE when this user may not ask it
 */
export async function watchControl<T extends object>(
  folder: string,
  signal?: AbortSignal,
): Promise<AsyncIterable<T> | undefined> {
  const socket = await ask(folder, { ask: 'watch' }, signal);
  if (!socket) return undefined;
  return answersFrom<T>(socket);
}

/**
 * Asks the gateway that runs on this data folder, and waits for its answer, however long that takes. `hear` is told how far it is;
 * when `signal` aborts, the work is ended there.
 * @returns undefined when none runs there
 * @throws what the gateway threw; TidegateError CONFIG_FILE when this user may not ask it, GATEWAY_GONE when it ended meanwhile
 */
export async function askControl<T extends object>(
  folder: string,
  request: Request,
  { hear, signal }: { hear?(news: object): void; signal?: AbortSignal } = {},
): Promise<T | undefined> {
  const socket = await ask(folder, request, signal);
  if (!socket) return undefined;
  for await (const answer of answersFrom<T>(socket, hear)) return answer;
  throw new TidegateError('GATEWAY_GONE', `the gateway on ${folder} ended before it answered`);
}

/** Connects and asks; undefined when nobody listens. */
async function ask(folder: string, request: Request, signal?: AbortSignal): Promise<Socket | undefined> {
  const place = shortPlace(folder);
  const socket = createConnection(place.path);
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', reject);
    });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EACCES') return undefined;
    throw new TidegateError('CONFIG_FILE', `the gateway on ${folder} may not be asked by this user`, {
      hint: 'Run this as the user that runs the gateway, or as root.',
      cause: error,
    });
  } finally {
    place.free();
  }
  socket.on('error', () => {});
  const stop = () => void socket.destroy();
  if (signal?.aborted) stop();
  signal?.addEventListener('abort', stop, { once: true });
  socket.write(`${toJson(request)}\n`);
  return socket;
}

async function* answersFrom<T extends object>(socket: Socket, hear?: (news: object) => void): AsyncGenerator<T> {
  for await (const text of linesFrom(socket)) {
    if (text === '') continue;
    const line = JSON.parse(text) as Line<T>;
    if ('problems' in line) throw errorOf(line.problems);
    if ('answer' in line) yield line.answer;
    else hear?.(line.told);
  }
}

async function* linesFrom(socket: Socket): AsyncGenerator<string> {
  let rest = '';
  socket.setEncoding('utf8');
  try {
    for await (const chunk of socket) {
      const lines = (rest + chunk).split('\n');
      rest = lines.pop() ?? '';
      yield* lines;
    }
  } catch {
    // Closed in the middle, by either side: that is an end like any other.
  } finally {
    socket.destroy();
  }
}

/**
 * A path to the socket that fits in a socket address (108 bytes with its end mark on Linux, unix(7)). A longer one goes by
 * way of an open descriptor of the folder.
 */
function shortPlace(folder: string): { path: string; free(): void } {
  const path = join(folder, 'control.sock');
  if (Buffer.byteLength(path) < 104 || process.platform !== 'linux') return { path, free: () => {} };
  let fd: number;
  try {
    fd = openSync(folder, 'r');
  } catch {
    return { path, free: () => {} };
  }
  return { path: `/proc/self/fd/${fd}/control.sock`, free: () => closeSync(fd) };
}
