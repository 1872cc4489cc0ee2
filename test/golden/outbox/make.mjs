/**
 * Writes an outbox file by an earlier Tidegate, whose built clone is named first:
 *
 * git worktree add /tmp/old fb9dce4 && cd /tmp/old && npm ci && npx tsc && node …/make.mjs /tmp/old …/format-1.sqlite
 */
import { copyFileSync, mkdtempSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';

const [, , clone, target] = process.argv;
const load = (path) => import(join(clone, 'dist', path));
const { gatewaySchema } = await load('src/config/schema.js');
const { openStore } = await load('src/delivery/store.js');
const { openUpstream } = await load('src/delivery/upstream.js');
const { setClock, UnsetClock } = await load('test/support/clock.js');
const { pino } = createRequire(join(clone, 'package.json'))('pino');

const log = pino({ level: 'silent' });
const folder = mkdtempSync(join(tmpdir(), 'tidegate-'));

const event = (n, lane = 'live') => ({
  kind: 'telemetry',
  device: 'd',
  at: 1_700_000_000_000 + n,
  lane,
  topic: `t/${lane}`,
  names: ['n', 'state'],
  values: [n, 'on'],
});

/** One start that accepts events while there is no broker. */
async function start(clock, events, buffer = {}) {
  const upstreams = { cloud: { url: 'mqtt://127.0.0.1:1', buffer: { flush: '40ms', live_for: '40ms', ...buffer } } };
  const config = gatewaySchema.parse({ gateway: 'g', upstreams }).upstreams.cloud;
  const store = openStore();
  const upstream = await openUpstream({ id: 'cloud', config, gateway: 'g', folder, store, log, clock });
  for (const one of events) {
    upstream.accept(one);
    await pause(10);
  }
  await pause(300);
  await upstream.close();
  await store.close();
}

const range = (from, to) => Array.from({ length: to - from + 1 }, (_, i) => from + i);
// 1 to 5 have expired when 6 is written.
await start(setClock, range(1, 5).map((n) => event(n)));
await start(setClock, [event(6)], { age: '100ms' });
// 11 to 20 were taken by a clock that was never set.
await start(new UnsetClock(0), range(11, 20).map((n) => ({ ...event(n), at: n, clock: 'unset' })));
const flaws = new Map([[1, { quality: 'bad', reason: 'timeout' }]]);
const whole = { ...event(21), names: ['n', 'gone', 'total'], values: [21, null, 2n ** 60n], flaws, counters: [2] };
await start(setClock, [whole, event(22, 'alarm'), ...range(23, 30).map((n) => event(n))]);
copyFileSync(join(folder, 'outbox/cloud.sqlite'), target);
