/** The limit of the whole path: the same requests from a bare socket, and for each reply a ready-made message by the `mqtt` package. */
import { connect } from 'mqtt';
import { answer } from '../peer.js';
import { type Wire, type WireLoad, Wires } from './wire.js';

/** What to ask for, and what to publish. */
export interface RelayLoad extends WireLoad {
  readonly cloudPort: number;
  /** Bytes of a message. */
  readonly size: number;
  readonly window: number;
}

let values = 0;
let wires: Wires | undefined;

answer({
  open: ({ cloudPort, size, window, ...load }: RelayLoad) =>
    new Promise<void>((resolve, reject) => {
      const link = connect(`mqtt://127.0.0.1:${cloudPort}`, {
        protocolVersion: 4,
        reconnectPeriod: 0,
        queueQoSZero: false,
      });
      const message = 'x'.repeat(size);
      let inFlight = 0;
      /** At full speed the wires wait for room in the window. */
      const waiting: Wire[] = [];
      const askAgain = (): void => {
        if (wires?.every !== 0) waiting.length = 0;
        while (inFlight < window && waiting.length > 0) waiting.shift()?.ask(1);
      };
      link.on('error', reject);
      link.on('connect', () => {
        wires = new Wires(load, (registers, wire) => {
          inFlight++;
          link.publish('bench/relay', message, { qos: 1 }, (error) => {
            if (error) throw error;
            inFlight--;
            values += registers.length;
            askAgain();
          });
          waiting.push(wire);
          askAgain();
        });
        resolve();
      });
    }),
  pace: (every: number) => wires?.pace(every),
  /** Registers brought home and acknowledged by the broker so far. */
  count: () => values,
});
