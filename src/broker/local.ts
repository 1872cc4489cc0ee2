/** The local broker as the gateway has it: there or not, by what is configured. The library is loaded when it is there. */
import type { Duplex } from 'node:stream';
import type { Logger } from 'pino';
import type { BrokerConfig } from '../config/broker.js';
import type { Device, TelemetryEvent } from '../model.js';
import type { Broker, BrokerStatus } from './broker.js';
import { type Sends, SiteTopics, type Standing } from './site-topics.js';

export type { BrokerStatus } from './broker.js';

/** A broker that may be there. */
export interface LocalBroker {
  /** Opens a connection within the process, with all rights; undefined while there is no broker. */
  readonly connect: (() => Duplex) | undefined;
  /**
   * Goes by a configuration, from now on if there was no broker.
   * @throws TidegateError BROKER_LISTEN; then nothing has changed
   */
  use(config: BrokerConfig): Promise<void>;
  /** The devices whose readings may come, and which of their points do. Topics of all others are cleared. */
  show(devices: readonly Device[], sends: Sends): void;
  /** Shows the readings of an event under `site/`. */
  take(event: TelemetryEvent): void;
  /** Shows how a device stands there. */
  stand(standing: Standing): void;
  status(): BrokerStatus | undefined;
  /** Until it is used again there is none. Never rejects. */
  close(): Promise<void>;
}

/** There is none before `use`. */
export function prepareBroker(log: Logger): LocalBroker {
  let running: { broker: Broker; config: BrokerConfig; site: SiteTopics } | undefined;
  let shown: [readonly Device[], Sends] = [[], () => false];

  return {
    get connect() {
      return running?.broker.connect;
    },
    async use(config) {
      if (running === undefined) {
        const { openBroker } = await import('./broker.js');
        const broker = await openBroker(config, log);
        running = { broker, config, site: new SiteTopics(broker.retain) };
        running.site.use(...shown);
      } else if (running.config !== config) {
        await running.broker.use(config);
        running = { ...running, config };
      }
    },
    show(...now) {
      shown = now;
      running?.site.use(...shown);
    },
    take: (event) => running?.site.take(event),
    stand: (standing) => running?.site.stand(standing),
    status: () => running?.broker.status(),
    async close() {
      const was = running;
      running = undefined;
      await was?.broker.close();
    },
  };
}
