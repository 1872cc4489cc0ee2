/** The limit of the cloud side: the `mqtt` package alone, publishing ready-made messages of the same size at the same window. */
import { connect, type MqttClient } from 'mqtt';
import { answer } from '../peer.js';

/** What to publish: `perSecond` 0 is as fast as it goes. */
export interface PublisherLoad {
  readonly port: number;
  /** Bytes of a message. */
  readonly size: number;
  readonly window: number;
  readonly perSecond: number;
}

const TURN = 20;
let acknowledged = 0;
let client: MqttClient | undefined;
let timer: NodeJS.Timeout | undefined;

answer({
  start: ({ port, size, window, perSecond }: PublisherLoad) =>
    new Promise<void>((resolve, reject) => {
      const link = connect(`mqtt://127.0.0.1:${port}`, { protocolVersion: 4, reconnectPeriod: 0, queueQoSZero: false });
      client = link;
      const message = 'x'.repeat(size);
      let inFlight = 0;
      let owed = 0;
      const pump = (): void => {
        while (inFlight < window && (perSecond === 0 || owed >= 1)) {
          inFlight++;
          owed--;
          link.publish('bench/publisher', message, { qos: 1 }, (error) => {
            if (error) throw error;
            inFlight--;
            acknowledged++;
            pump();
          });
        }
      };
      link.on('error', reject);
      link.on('connect', () => {
        timer = setInterval(() => {
          owed += (perSecond * TURN) / 1000;
          pump();
        }, TURN);
        pump();
        resolve();
      });
    }),
  stop: () => {
    clearInterval(timer);
    client?.end(true);
  },
  /** Messages acknowledged so far. */
  acknowledged: () => acknowledged,
});
