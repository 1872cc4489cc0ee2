/** An upstream on a temporary folder, with events made by number. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Logger, pino } from 'pino';
import { onTestFinished } from 'vitest';
import { gatewaySchema, type UpstreamConfig } from '../../src/config/schema.js';
import { limitsOf } from '../../src/delivery/budget.js';
import { Outbox } from '../../src/delivery/outbox.js';
import { outboxFolder } from '../../src/delivery/status.js';
import { openStore, type Store, type StoreFile } from '../../src/delivery/store.js';
import { openUpstream, type Upstream } from '../../src/delivery/upstream.js';
import type { Event, TelemetryEvent } from '../../src/model.js';
import type { Clock } from '../../src/ops/clock.js';
import { setClock } from './clock.js';

export const silent = pino({ level: 'silent' });
const NAMES = ['n', 'state'];

/** A folder that goes when the test does. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'tidegate-test-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** The configuration of an upstream. Keys of `settings` are those of gateway.yaml. */
export function upstreamConfig(url: string, settings: object = {}): UpstreamConfig {
  const { upstreams } = gatewaySchema.parse({
    gateway: 'g',
    upstreams: { cloud: { url, reconnect: { min: '20ms', max: '50ms' }, ...settings } },
  });
  if (!upstreams.cloud) throw new Error('the schema lost the upstream');
  return upstreams.cloud;
}

/** Opens an upstream as the gateway does. Keys of `settings` are those of gateway.yaml. */
export async function openTestUpstream(
  url: string,
  folder: string,
  settings: object = {},
  clock: Clock = setClock,
  log: Logger = silent,
  store: Store = openStore(),
): Promise<Upstream> {
  const config = upstreamConfig(url, settings);
  const upstream = await openUpstream({ id: 'cloud', config, gateway: 'g', folder, store, log, clock });
  return {
    ...upstream,
    async close() {
      await upstream.close();
      await store.close();
    },
  };
}

/**
 * Opens an outbox without a link.
 * @param inFront stands between it and its file
 * @param ready called when there may be something to send
 */
export async function openTestOutbox(
  folder: string,
  inFront: (file: StoreFile) => StoreFile = (file) => file,
  ready: () => void = () => {},
): Promise<Outbox> {
  const store = openStore();
  onTestFinished(() => store.close());
  const { buffer, order } = upstreamConfig('mqtt://127.0.0.1:1', { buffer: { flush: '20ms' } });
  const file = await store.open(`${outboxFolder(folder)}/cloud.sqlite`, limitsOf(buffer), setClock.base);
  return new Outbox({
    file: inFront(file),
    config: buffer,
    window: 32,
    order,
    pace: { maxShare: 0.5, maxRate: undefined },
    gapTopic: 'gap',
    log: silent,
    clock: setClock,
    ready,
  });
}

/** The event number `n`. */
export function event(n: number, lane: Event['lane'] = 'live'): TelemetryEvent {
  return {
    kind: 'telemetry',
    device: 'd',
    at: 1_700_000_000_000 + n,
    lane,
    topic: `t/${lane}`,
    names: NAMES,
    values: [n, 'on'],
  };
}
