/** Starts an OPC UA server of node-opcua in a process of its own, and tells it what to do. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The namespace of the server's own nodes: a press. */
export const PRESS = 'http://acme.com/UA/Press/';

/** A certificate and its key, as PEM. */
export interface PemIdentity {
  readonly certificate: string;
  readonly key: string;
}

/** What the server is to be. */
export interface Plant {
  readonly identity: PemIdentity;
  readonly port?: number;
  /** What it calls its host in its endpoints; its address when left out. */
  readonly hostname?: string;
  /** What it says to be, where that is not what its certificate says. */
  readonly applicationUri?: string;
  /** Security policies by URI, and modes by number; all when left out. */
  readonly policies?: readonly string[];
  readonly modes?: readonly number[];
  /** User → password; anonymous when left out. */
  readonly users?: Readonly<Record<string, string>>;
  /** Fingerprints (SHA-256) of the certificates that it lets in; all when left out. */
  readonly accepts?: readonly string[];
  /** Its operation limits: `maxNodesPerRead`, … */
  readonly limits?: Readonly<Record<string, number>>;
  /** Milliseconds after which the keys of a channel have to be renewed. */
  readonly keysLast?: number;
  readonly noSubscriptions?: boolean;
  /** Takes no notice of ranges: it tells arrays whole, and writes what it is given in their place. */
  readonly noRanges?: boolean;
  /** Answers so many requests for monitored items, and refuses all others as a whole. */
  readonly itemRequests?: number;
  /** Namespaces before that of the press, so that its number differs. */
  readonly before?: readonly string[];
  /** Nodes `Many.0` … */
  readonly many?: number;
}

/** What the server is to do. */
export type Order =
  | { readonly what: 'set'; readonly node: string; readonly value: unknown; readonly at?: number }
  | { readonly what: 'status'; readonly node: string; readonly status: string }
  | { readonly what: 'read'; readonly node: string }
  /** Takes a variable away, as a new program in a PLC does, or brings it back, with another node id where one is named. */
  | { readonly what: 'remove'; readonly node: string }
  | { readonly what: 'restore'; readonly node: string; readonly as?: string; readonly value: number }
  | { readonly what: 'count' }
  /** How often the keys of channels were renewed. */
  | { readonly what: 'renewals' }
  /** From now on lets in only these certificates (SHA-256), or all. */
  | { readonly what: 'accept'; readonly fingerprints?: readonly string[] }
  /** Forgets all sessions, as after their timeout. */
  | { readonly what: 'expire' }
  /** Ends all subscriptions, as after their lifetime; the sessions live on. */
  | { readonly what: 'forget' }
  /** The next two messages of subscriptions change places on their way. */
  | { readonly what: 'swap' }
  | { readonly what: 'churn'; readonly items: number; readonly every: number }
  | { readonly what: 'shutdown'; readonly grace?: number };

/** A running server. */
export interface Peer {
  readonly port: number;
  readonly endpoint: string;
  /** Has the server do something; gives what it answers. */
  tell(order: Order): Promise<unknown>;
  /** Ends the process at once, as a power cut would. */
  kill(): Promise<void>;
}

/** Starts the server; resolves when it listens. */
export async function startPeer(plant: Plant): Promise<Peer> {
  const script = fileURLToPath(new URL('./opcua-server.js', import.meta.url));
  const folder = mkdtempSync(join(tmpdir(), 'tidegate-peer-'));
  const child = fork(script, [JSON.stringify(plant), folder], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  const { port } = (await answerOf(child)) as { port: number };
  let last: Promise<unknown> = Promise.resolve();
  return {
    port,
    endpoint: `opc.tcp://127.0.0.1:${port}`,
    tell(order) {
      last = last.then(async () => {
        const answer = answerOf(child);
        child.send(order);
        return ((await answer) as { answer: unknown }).answer;
      });
      return last;
    },
    async kill() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const gone = once(child, 'exit');
      child.kill('SIGKILL');
      await gone;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

async function answerOf(child: ChildProcess): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const ended = (code: number | null): void => reject(new Error(`the OPC UA server ended (${code})`));
    child.once('exit', ended);
    child.once('message', (message) => {
      child.off('exit', ended);
      resolve(message);
    });
  });
}
