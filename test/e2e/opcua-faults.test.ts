/** A bad network between us and an OPC UA server: cut, silent, and full of garbage. Seeded: SEED=n repeats a run, ROUNDS=n makes it longer. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { opcua } from '../../drivers/opcua/index.js';
import type { OpcuaConnection } from '../../drivers/opcua/schema.js';
import type { Session } from '../../src/driver.js';
import { isKind } from '../../src/errors.js';
import type { Samples } from '../../src/model.js';
import { driverContext } from '../support/driver-context.js';
import { makePem, trustingFolder } from '../support/opcua-identity.js';
import { Told } from '../support/opcua-listener.js';
import { type Peer, startPeer } from '../support/opcua-peer.js';
import { deviceOf, pointOf } from '../support/opcua-points.js';
import { random } from '../support/random.js';
import { type Relay, startRelay } from '../support/tcp-relay.js';

const SEED = Number(process.env.SEED ?? 7);
const ROUNDS = Number(process.env.ROUNDS ?? 40);
const signal = new AbortController().signal;
const points = [pointOf('float64', 'Temp'), pointOf('string', 'Name'), pointOf('uint64', 'Total')];
const device = deviceOf(points);
const TRUTH = [21.5, 'Press 7', 0x7fff_ffff_ffff_ffffn];

let peer: Peer;
let relay: Relay;
let folder: Awaited<ReturnType<typeof trustingFolder>>;
beforeAll(async () => {
  const identity = await makePem();
  folder = await trustingFolder(identity);
  peer = await startPeer({ identity });
  relay = await startRelay(peer.port);
}, 60_000);
afterAll(async () => {
  await relay.close();
  await peer.kill();
  folder.done();
});

/** Ways to spoil bytes that are on their way to us. */
function faults(next: () => number): (() => void)[] {
  const garbage = (size: number): Buffer => Buffer.from(Array.from({ length: size }, () => Math.floor(next() * 256)));
  return [
    () => relay.cut(),
    () => relay.silence(),
    () => relay.spoil((chunk) => garbage(chunk.length)),
    () => relay.spoil((chunk) => Buffer.concat([garbage(1 + Math.floor(next() * 64)), chunk])),
    () => relay.spoil((chunk) => chunk.subarray(0, Math.floor(next() * chunk.length))),
    () =>
      relay.spoil((chunk) => {
        const changed = Buffer.from(chunk);
        const at = Math.floor(next() * changed.length);
        changed[at] = (changed[at] ?? 0) ^ (1 << Math.floor(next() * 8));
        return changed;
      }),
  ];
}

test(
  `${ROUNDS} faults: a truth, a reason, or a lost link; never a wrong value (SEED=${SEED})`,
  async () => {
    const next = random(SEED);
    const all = faults(next);
    const connection = opcua.connection.parse({
      endpoint: `opc.tcp://127.0.0.1:${relay.port}`,
      timeout: '150ms',
      connect_timeout: '5s',
      keep_alive: '200ms',
      publishing: '20ms',
    }) as OpcuaConnection;
    const seen = { answered: 0, silent: 0, lost: 0, told: 0 };
    for (let round = 0; round < ROUNDS; round += 1) {
      relay.silence(false);
      // What broken connections leave behind, a server forgets after half a minute; this one at once.
      await peer.tell({ what: 'expire' });
      const session = (await opcua.open(connection, driverContext(folder.data))) as Session;
      const told = new Told();
      try {
        const fault = all[Math.floor(next() * all.length)];
        const tried = (async () => {
          await session.subscribe?.(device, points, told);
          fault?.();
          return session.read(device, points, { signal });
        })();
        const outcome = await tried.catch((error: unknown) => error);
        if (outcome instanceof Error) {
          expect(isKind(outcome, 'reconnect'), String(outcome)).toBe(true);
          seen.lost += 1;
        } else {
          const { values, flaws, answered } = outcome as Samples;
          if (answered) seen.answered += 1;
          else seen.silent += 1;
          values.forEach((value, index) => {
            expect([round, value]).toEqual([round, flaws?.has(index) ? null : TRUTH[index]]);
          });
        }
        for (const [index, value] of told.latest) expect([round, index, value]).toEqual([round, index, TRUTH[index]]);
        if (told.error !== undefined) expect(isKind(told.error, 'reconnect')).toBe(true);
        seen.told += told.pushes.length;
      } finally {
        await session.close();
      }
    }
    expect(seen.answered + seen.silent + seen.lost).toBe(ROUNDS);
    expect(seen.lost).toBeGreaterThan(0);
  },
  60_000 + ROUNDS * 3_000,
);
