/** Devices that publish by themselves: one client for all of them, one message after the other, and back whenever the broker is. */
import { connect } from 'mqtt';
import { answer } from '../peer.js';
import { POINTS, type SensorLoad, topicOf } from './sensor-messages.js';

/** Milliseconds between two looks at what is due. */
const TICK = 10;

let told = 0;

answer({
  open({ port, devices, every }: SensorLoad): void {
    const options = { protocolVersion: 4, reconnectPeriod: 100, queueQoSZero: false } as const;
    const link = connect(`mqtt://127.0.0.1:${port}`, options).on('error', () => {});
    const began = performance.now();
    setInterval(() => {
      for (const due = ((performance.now() - began) * devices) / every; told < due; told++) {
        if (!link.connected) continue;
        const values = POINTS.map((name, at) => [name, ((told * (at + 7)) % 10_007) / 10]);
        link.publish(topicOf(told % devices), JSON.stringify(Object.fromEntries(values)));
      }
    }, TICK);
  },
});
