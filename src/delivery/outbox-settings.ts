/** How an outbox is set, and what it works with. */
import type { Logger } from 'pino';
import type { BufferConfig } from '../config/schema.js';
import type { Clock } from '../ops/clock.js';
import type { PaceOptions } from './pace.js';
import type { StoreFile } from './store.js';

/** How an outbox is set; may change while it works. */
export interface OutboxSettings {
  readonly config: BufferConfig;
  /** Most unacknowledged events of the upstream. */
  readonly window: number;
  /** `lanes`: live data before the backlog. `strict`: one sequence, oldest first. */
  readonly order: 'lanes' | 'strict';
  readonly pace: Omit<PaceOptions, 'window'>;
  /** Topic of gap events. */
  readonly gapTopic: string;
}

/** What an outbox is given. */
export interface OutboxOptions extends OutboxSettings {
  readonly file: StoreFile;
  readonly log: Logger;
  readonly clock: Clock;
  /** Called when there may be something to send. */
  ready(): void;
}
