/** A process to be killed: accepts numbered events without pause and tells, on stdout, each that was accepted (in strict mode: that is on disk), when, and its lane. */
import { writeSync } from 'node:fs';
import { pino } from 'pino';
import { gatewaySchema } from '../../src/config/schema.js';
import { openStore } from '../../src/delivery/store.js';
import { openUpstream } from '../../src/delivery/upstream.js';
import { setClock } from './clock.js';
import { random } from './random.js';
import { tellStalls } from './stall.js';

/** What the process is to do; its only argument, as JSON. */
export interface CrashOptions {
  /** Of the broker. */
  readonly url: string;
  readonly folder: string;
  /** The file in which it tells how long it had to wait. */
  readonly stalls: string;
  /** Keys of `buffer`, as in gateway.yaml. */
  readonly buffer: object;
  /** Number of the first event. */
  readonly first: number;
  /** Points beside the number, each with random values; none by default. */
  readonly noise?: number;
  /** Milliseconds between the times of two events, whatever the clock says: event `n` is of the time `n × spacing`. */
  readonly spacing?: number;
}

const options = JSON.parse(process.argv[2] ?? '{}') as CrashOptions;
const { url, folder, stalls, buffer, first, noise = 0, spacing } = options;
void tellStalls(stalls);
const { upstreams } = gatewaySchema.parse({
  gateway: 'g',
  upstreams: { cloud: { url, version: '3.1.1', reconnect: { min: '10ms', max: '40ms' }, buffer } },
});
const config = upstreams.cloud;
if (!config) throw new Error('the schema lost the upstream');
const log = pino({ level: 'silent' });
const store = openStore();
const upstream = await openUpstream({ id: 'cloud', config, gateway: 'g', folder, store, log, clock: setClock });

let n = first;
const draw = random(first);
const names = ['n', ...Array.from({ length: noise }, (_, i) => `noise${i}`)];
setInterval(() => {
  for (let i = 0; i < 5; i++, n++) {
    const lane = n % 50 === 0 ? 'alarm' : 'live';
    const number = n;
    // Written at once: what stands in the pipe survives the kill.
    const tell = (): unknown => writeSync(1, `${number} ${Date.now()} ${lane}\n`);
    const saved = upstream.accept({
      kind: 'telemetry',
      device: 'd',
      at: spacing === undefined ? Date.now() : n * spacing,
      lane,
      topic: `t/${lane}`,
      names,
      values: names.map((_, i) => (i === 0 ? n : Math.round(draw() * 1e6))),
    });
    if (saved) void saved.then(tell);
    else tell();
  }
}, 5);
