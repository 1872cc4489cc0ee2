/** The whole gateway at one instant: what `watch`, `outbox status` and the demo show. */
import type { BrokerStatus } from './broker/local.js';
import type { OutboxFileStatus } from './delivery/status.js';
import type { UpstreamStatus } from './delivery/upstream.js';
import type { PointSnapshot } from './devices/latest.js';
import type { KnownCertificate } from './driver.js';
import type { PollState, PollStats } from './polling/poller.js';
import type { ConnectionLoad } from './polling/pollers.js';

export type { BrokerStatus } from './broker/local.js';
export type { UpstreamStatus } from './delivery/upstream.js';
export type { PointSnapshot } from './devices/latest.js';
export { FULL_WIRE } from './polling/load.js';

/** A device as it stands. */
export interface DeviceSnapshot {
  readonly id: string;
  readonly profile: string;
  readonly connection: string;
  readonly state: PollState;
  readonly reason?: string;
  readonly points: readonly PointSnapshot[];
}

/** The whole gateway at one instant. */
export interface Snapshot {
  readonly gateway: string;
  /** Milliseconds since 1970. */
  readonly at: number;
  /** Whether the wall clock is known to be set. */
  readonly clock: 'set' | 'unset';
  /** Milliseconds since the start. */
  readonly uptime: number;
  /** Over the last ten seconds. */
  readonly readingsPerSecond: number;
  /** Summed over all connections. */
  readonly polls: PollStats;
  /** Those that have devices. */
  readonly connections: readonly ConnectionLoad[];
  readonly devices: readonly DeviceSnapshot[];
  readonly upstreams: readonly UpstreamStatus[];
  /** Outboxes whose upstream is not configured any more. */
  readonly orphans: readonly OutboxFileStatus[];
  /** Certificates that end within 30 days, or have ended: ours, and those that people trusted. */
  readonly expiring: readonly KnownCertificate[];
  /** The local broker, if there is one. */
  readonly broker?: BrokerStatus;
}
