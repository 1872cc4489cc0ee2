/** The limit of the cloud side: the `mqtt` package alone, publishing ready-made messages of the same size at the same window. */
import { connect } from 'mqtt';
import { answer } from '../peer.js';

/** What to publish. */
export interface PublisherLoad {
  readonly port: number;
  /** Bytes of a message. */
  readonly size: number;
  readonly window: number;
}

let acknowledged = 0;
let inFlight = 0;
let pump = (): void => {};

answer({
  open: ({ port, size, window }: PublisherLoad) =>
    new Promise<void>((resolve, reject) => {
      const link = connect(`mqtt://127.0.0.1:${port}`, { protocolVersion: 4, reconnectPeriod: 0, queueQoSZero: false });
      const message = 'x'.repeat(size);
      pump = () => {
        while (inFlight < window) {
          inFlight++;
          link.publish('bench/publisher', message, { qos: 1 }, (error) => {
            if (error) throw error;
            inFlight--;
            acknowledged++;
            pump();
          });
        }
      };
      link.on('error', reject);
      link.on('connect', () => resolve());
    }),
  pace: () => pump(),
  /** Messages acknowledged so far. */
  count: () => acknowledged,
});
