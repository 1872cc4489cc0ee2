/** A process with a local broker that fails whenever it is to look up what may be retained. Tells its port. */
import { openBroker } from '../../src/broker/broker.js';
import { openProgramLog } from '../../src/cli/program-log.js';
import { brokerConfig } from './local-broker.js';

const { log } = openProgramLog({ level: 'info', form: 'json' });
const config = await brokerConfig({ app: { write: ['#'] }, other: { read: ['#'], write: ['#'] } });
const limits = Object.defineProperty({ ...config.limits }, 'retained', {
  get(): never {
    throw new Error('a mistake');
  },
});
const broker = await openBroker({ ...config, limits }, log);
process.send?.(Number(broker.status().listening[0]?.split(':')[1]));
