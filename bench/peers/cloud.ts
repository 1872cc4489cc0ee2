/** The cloud: an MQTT broker (aedes) that reads every message it is sent, and can go away and come back. */
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { createAedes } from '../../src/aedes.js';
import { answer } from '../peer.js';

/** What arrived. Ids are `gateway:epoch:sequence`, so a hole in the sequence is a loss. */
export interface CloudCounts {
  readonly messages: number;
  readonly bytes: number;
  /** Values in telemetry, without those of duplicates. */
  readonly readings: number;
  readonly duplicates: number;
  /** Sequence numbers below the highest that have not arrived. */
  readonly missing: number;
  /** Events removed by the gateway, as it says in gap events. */
  readonly gaps: number;
  /** Wall-clock time of the first and the last telemetry message, milliseconds. */
  readonly first: number;
  readonly last: number;
  /** The same of the first that was late. */
  readonly firstLate: number;
}

interface Message {
  id: string;
  values?: Record<string, unknown>;
  late?: boolean;
  gap?: { count: number };
}

/** Sequence numbers seen, of one epoch: one byte each. */
interface Seen {
  flags: Uint8Array;
  unique: number;
  highest: number;
}

const seen = new Map<string, Seen>();
const sockets = new Set<Socket>();
let counts = { messages: 0, bytes: 0, readings: 0, duplicates: 0, gaps: 0, first: 0, last: 0, firstLate: 0 };
let port = 0;
let server: Server | undefined;

async function up(): Promise<number> {
  const broker = await createAedes({
    // Here a message has arrived and is not yet acknowledged: aedes acknowledges before it tells of a message.
    authorizePublish(_client, { topic, payload }, done) {
      if (topic.endsWith('/telemetry') || topic.endsWith('/gap')) take(payload);
      // News of devices have sequence numbers too.
      else if (/^tidegate\/[^/]+\/[^/]+\/status$/.test(topic)) isNew((JSON.parse(payload.toString()) as Message).id);
      done(null);
    },
  });
  server = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
    broker.handle(socket);
  });
  server.on('close', () => broker.close());
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  port = (server.address() as AddressInfo).port;
  return port;
}

async function down(): Promise<void> {
  if (!server) return;
  const closed = once(server, 'close');
  server.close();
  for (const socket of sockets) socket.destroy();
  await closed;
  server = undefined;
}

function take(payload: Buffer | string): void {
  const message = JSON.parse(payload.toString()) as Message;
  counts.messages++;
  counts.bytes += payload.length;
  counts.first ||= Date.now();
  counts.last = Date.now();
  if (message.late) counts.firstLate ||= Date.now();
  if (!isNew(message.id)) counts.duplicates++;
  else if (message.values) for (const _ in message.values) counts.readings++;
  counts.gaps += message.gap?.count ?? 0;
}

function isNew(id: string): boolean {
  const [, epoch = '', text] = id.split(':');
  const sequence = Number.parseInt(text ?? '', 10);
  let run = seen.get(epoch);
  if (!run) {
    run = { flags: new Uint8Array(1 << 16), unique: 0, highest: 0 };
    seen.set(epoch, run);
  }
  if (sequence >= run.flags.length) {
    const grown = new Uint8Array(sequence * 2);
    grown.set(run.flags);
    run.flags = grown;
  }
  if (run.flags[sequence]) return false;
  run.flags[sequence] = 1;
  run.unique++;
  run.highest = Math.max(run.highest, sequence);
  return true;
}

answer({
  up,
  down,
  counts: (): CloudCounts => {
    let missing = 0;
    for (const run of seen.values()) missing += run.highest - run.unique;
    return { ...counts, missing };
  },
  reset: () => {
    seen.clear();
    counts = { messages: 0, bytes: 0, readings: 0, duplicates: 0, gaps: 0, first: 0, last: 0, firstLate: 0 };
  },
});
