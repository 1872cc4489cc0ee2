/** A process to be killed: accepts numbered events without pause and tells, on stdout, each that was accepted (in strict mode: that is on disk) and when. */
import { writeSync } from 'node:fs';
import { pino } from 'pino';
import { gatewaySchema } from '../../src/config/schema.js';
import { openStore } from '../../src/delivery/store.js';
import { openUpstream } from '../../src/delivery/upstream.js';
import { setClock } from './clock.js';

const [, , url = '', folder = '', buffer = '{}', first = '1'] = process.argv;
const { upstreams } = gatewaySchema.parse({
  gateway: 'g',
  upstreams: { cloud: { url, version: '3.1.1', reconnect: { min: '10ms', max: '40ms' }, buffer: JSON.parse(buffer) } },
});
const config = upstreams.cloud;
if (!config) throw new Error('the schema lost the upstream');
const log = pino({ level: 'silent' });
const store = openStore();
const upstream = await openUpstream({ id: 'cloud', config, gateway: 'g', folder, store, log, clock: setClock });

let n = Number(first);
const names = ['n'];
setInterval(() => {
  for (let i = 0; i < 5; i++, n++) {
    const lane = n % 50 === 0 ? 'alarm' : 'live';
    const line = `${n} ${Date.now()}\n`;
    const saved = upstream.accept({
      kind: 'telemetry',
      device: 'd',
      at: Date.now(),
      lane,
      topic: `t/${lane}`,
      names,
      values: [n],
    });
    // Written at once: what stands in the pipe survives the kill.
    if (saved) void saved.then(() => writeSync(1, line));
    else writeSync(1, line);
  }
}, 5);
