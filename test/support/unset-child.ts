/**
 * A process to be killed, whose clock is not set: accepts 50 events, tells each on stdout with the time it has for it, and sets its clock
 * when a number of milliseconds comes on stdin. There is no broker.
 */
import { createInterface } from 'node:readline';
import { openStore } from '../../src/delivery/store.js';
import { openUpstream } from '../../src/delivery/upstream.js';
import { UnsetClock } from './clock.js';
import { event, silent, upstreamConfig } from './upstream.js';

const [, , folder = '', zero = '0', boot = '', first = '1'] = process.argv;
const clock = new UnsetClock(Number(zero), boot);
const config = upstreamConfig('mqtt://127.0.0.1:1', { buffer: { flush: '40ms', live_for: '40ms' } });
const store = openStore();
const upstream = await openUpstream({ id: 'cloud', config, gateway: 'g', folder, store, log: silent, clock });
for (let n = Number(first); n < Number(first) + 50; n++) {
  const at = clock.steadyNow();
  upstream.accept({ ...event(n), at, clock: 'unset' });
  process.stdout.write(`${JSON.stringify({ n, at })}\n`);
}
for await (const line of createInterface(process.stdin)) clock.set(Number(line));
