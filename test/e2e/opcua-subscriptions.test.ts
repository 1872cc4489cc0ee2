/** Subscriptions over OPC UA, the limits of servers, and the way back after each kind of end. */
import pino from 'pino';
import { describe, expect, test, vi } from 'vitest';
import { opcua } from '../../drivers/opcua/index.js';
import type { Driver } from '../../src/driver.js';
import type { Batch } from '../../src/model.js';
import { type Poller, startPoller } from '../../src/polling/poller.js';
import { driverContext } from '../support/driver-context.js';
import { opcuaBench } from '../support/opcua-bench.js';
import { makePem } from '../support/opcua-identity.js';
import { Told } from '../support/opcua-listener.js';
import { type Peer, PRESS, startPeer } from '../support/opcua-peer.js';
import { deviceOf, pointOf } from '../support/opcua-points.js';

const signal = new AbortController().signal;
const MANY = 40;

const bench = opcuaBench({ many: MANY });
const { connect } = bench;
describe('a subscription', () => {
  test('begins with all values, then tells changes with the time and quality of their source', async () => {
    await bench.peer.tell({ what: 'set', node: 'Spoilt', value: 5 });
    const session = await connect();
    const points = [
      pointOf('float64', 'Temp'),
      pointOf('float64', 'Spoilt'),
      pointOf('float64', 'Nowhere'),
      pointOf('string', 'Name', { mode: 'poll' }),
    ];
    const told = new Told();
    const subscription = await session.subscribe?.(deviceOf(points), points, told);
    expect(subscription?.polled.map(({ id }) => id)).toEqual(['Nowhere', 'Name']);
    await told.until(() => told.latest.size === 2);
    expect([...told.latest]).toEqual([
      [0, 21.5],
      [1, 5],
    ]);

    const at = Date.UTC(2026, 0, 1, 12);
    await bench.peer.tell({ what: 'set', node: 'Spoilt', value: 6, at });
    await told.until(() => told.latest.get(1) === 6);
    expect(told.pushes.at(-1)).toEqual({ indexes: [1], values: [6], at });

    await bench.peer.tell({ what: 'status', node: 'Spoilt', status: 'UncertainLastUsableValue' });
    await told.until(() => told.pushes.at(-1)?.flaws !== undefined);
    expect(told.pushes.at(-1)).toMatchObject({ indexes: [1], values: [6] });
    const uncertain = { quality: 'uncertain', reason: 'last usable value (UncertainLastUsableValue)' };
    expect(told.pushes.at(-1)?.flaws?.get(0)).toEqual(uncertain);

    await bench.peer.tell({ what: 'status', node: 'Spoilt', status: 'BadSensorFailure' });
    await told.until(() => told.latest.get(1) === null);
    const bad = { quality: 'bad', reason: 'sensor failure (BadSensorFailure)' };
    expect(told.pushes.at(-1)?.flaws?.get(0)).toEqual(bad);

    await subscription?.close();
    await subscription?.close();
    expect(told.error).toBeUndefined();
  });

  test('a queue keeps what came between two publishings, in order', async () => {
    const session = await connect({ publishing: '300ms' });
    const points = [pointOf('float64', 'Spoilt', { sampling: '0ms', queue: 50 } as never)];
    await bench.peer.tell({ what: 'set', node: 'Spoilt', value: 0 });
    const told = new Told();
    await session.subscribe?.(deviceOf(points), points, told);
    await told.until(() => told.latest.has(0));
    for (let value = 1; value <= 20; value++)
      await bench.peer.tell({ what: 'set', node: 'Spoilt', value, at: Date.UTC(2026, 0, 1) + value });
    await told.until(() => told.latest.get(0) === 20);
    const values = told.pushes.flatMap((push) => push.values);
    expect(values.slice(values.indexOf(1))).toEqual(Array.from({ length: 20 }, (_, index) => index + 1));
  });

  test('messages that overtake one another are told in their order, each once', async () => {
    const points = [pointOf('float64', 'Spoilt')];
    await bench.peer.tell({ what: 'set', node: 'Spoilt', value: 0 });
    const told = new Told();
    const session = await connect();
    await session.subscribe?.(deviceOf(points), points, told);
    await told.until(() => told.latest.has(0));
    await bench.peer.tell({ what: 'swap' });
    await bench.peer.tell({ what: 'set', node: 'Spoilt', value: 1 });
    // The second message is of another time: whatever is told of the first comes with it.
    for (let value = 2; !told.latest.get(0); value += 1) {
      await bench.peer.tell({ what: 'set', node: 'Spoilt', value });
      await session.read(deviceOf(points), points, { signal });
    }
    const { length } = told.pushes;
    await bench.peer.tell({ what: 'set', node: 'Spoilt', value: 1_000_000 });
    await told.until(() => told.latest.get(0) === 1_000_000 || told.error !== undefined);
    expect(told.pushes.length).toBeGreaterThan(length);
    const values = told.pushes.flatMap((push) => push.values) as number[];
    expect(values).toEqual([...new Set(values)].sort((a, b) => a - b));
    expect(told.error).toBeUndefined();
  });

  test('a queue that was full is warned of, once', async () => {
    const warnings: string[] = [];
    const log = pino({ level: 'warn' }, { write: (line) => void warnings.push(JSON.parse(line).msg) });
    const session = await connect({ publishing: '500ms' }, { log });
    const points = [pointOf('float64', 'Spoilt', { sampling: '0ms', queue: 2 } as never)];
    const told = new Told();
    await session.subscribe?.(deviceOf(points), points, told);
    await told.until(() => told.latest.has(0));
    for (const last of [100, 200]) {
      for (let value = last - 20; value <= last; value++) await bench.peer.tell({ what: 'set', node: 'Spoilt', value });
      await told.until(() => told.latest.get(0) === last);
    }
    expect(warnings.filter((text) => text.includes('queue of Spoilt was full'))).toHaveLength(1);
  });

  test('a queue that the server makes shorter is warned of', async () => {
    const warnings: string[] = [];
    const log = pino({ level: 'warn' }, { write: (line) => void warnings.push(JSON.parse(line).msg) });
    const session = await connect({}, { log });
    const points = ['Temp', 'Spoilt', 'Flow'].map((node) =>
      pointOf('float64', node, { queue: node === 'Flow' ? 1 : 10_000 }),
    );
    await session.subscribe?.(deviceOf(points), points, new Told());
    expect(warnings).toEqual(['the server keeps a shorter queue than was asked for: Temp, Spoilt']);
  });

  test('what a server takes away and brings back is told again, by its path under whatever node id', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    try {
      const session = await connect({ keep_alive: '60s' });
      const byPath = { path: `/Objects/nsu=${PRESS};Press/nsu=${PRESS};Speed` };
      const points = [pointOf('float64', 'Speed'), pointOf('float64', 'Speed', byPath), pointOf('float64', 'Temp')];
      const told = new Told();
      await session.subscribe?.(deviceOf(points), points, told);
      await told.until(() => told.latest.size === 3);
      const read = async () => (await session.read(deviceOf(points), points, { signal })).values;
      expect(await read()).toEqual([230.15, 230.15, 21.5]);
      await bench.peer.tell({ what: 'remove', node: 'Speed' });
      await told.until(() => told.latest.get(0) === null && told.latest.get(1) === null);
      expect(await read()).toEqual([null, null, 21.5]);
      await bench.peer.tell({ what: 'restore', node: 'Speed', as: 'Speed.2', value: 7 });
      vi.advanceTimersByTime(60_000);
      await told.until(() => told.latest.get(1) === 7);
      expect(told.latest.get(0)).toBeNull();
      await bench.peer.tell({ what: 'remove', node: 'Speed' });
      await told.until(() => told.latest.get(1) === null);
      await bench.peer.tell({ what: 'restore', node: 'Speed', value: 230.15 });
      vi.advanceTimersByTime(60_000);
      await told.until(() => told.latest.get(0) === 230.15 && told.latest.get(1) === 230.15);
      expect(told.latest.get(2)).toBe(21.5);
      expect(told.error).toBeUndefined();
    } finally {
      vi.useRealTimers();
    }
  });

  test('a deadband is the server’s where it has one, and left out where not', async () => {
    const session = await connect();
    const points = [
      pointOf('float64', 'Flow', { server_deadband: '10%' }),
      pointOf('string', 'Name', { server_deadband: 5 }),
    ];
    const told = new Told();
    const subscription = await session.subscribe?.(deviceOf(points), points, told);
    expect(subscription?.polled).toEqual([]);
    await told.until(() => told.latest.size === 2);
    // A tenth of 0 … 200 is 20: the step of 10 stays untold.
    await bench.peer.tell({ what: 'set', node: 'Flow', value: 110 });
    await bench.peer.tell({ what: 'set', node: 'Flow', value: 140 });
    await told.until(() => told.latest.get(0) === 140);
    expect(told.pushes.flatMap((push) => push.values)).not.toContain(110);
  });
});

describe('servers that allow little', () => {
  const points = Array.from({ length: MANY }, (_, index) => pointOf('float64', `Many.${index}`));
  const paths = points.slice(0, 9).map((point, index) => ({
    ...point,
    address: { ...point.address, node: undefined, path: `/Objects/nsu=${PRESS};Press/nsu=${PRESS};Many.${index}` },
  }));

  test('few nodes in one call, other numbers of namespaces, no subscriptions', async () => {
    const limits = { maxNodesPerRead: 7, maxNodesPerTranslateBrowsePathsToNodeIds: 2, maxMonitoredItemsPerCall: 3 };
    const little = await startPeer({
      identity: bench.identity,
      many: MANY,
      limits,
      before: ['urn:first', 'urn:second'],
      noSubscriptions: true,
    });
    try {
      const session = await connect({ endpoint: little.endpoint });
      const all = [...points, ...paths];
      const { values, flaws } = await session.read(deviceOf(all), all, { signal });
      expect(flaws).toBeUndefined();
      expect(values).toEqual([...points.keys(), ...paths.keys()]);
      const told = new Told();
      const subscription = await session.subscribe?.(deviceOf(points), points, told);
      expect(subscription?.polled).toEqual(points);
    } finally {
      await little.kill();
    }
  }, 60_000);

  test('fewer monitored items than are asked for: those are told, the others polled', async () => {
    const limits = { maxMonitoredItemsPerCall: 3 };
    const little = await startPeer({ identity: bench.identity, many: MANY, limits, itemRequests: 2 });
    try {
      const session = await connect({ endpoint: little.endpoint });
      const told = new Told();
      const subscription = await session.subscribe?.(deviceOf(points), points, told);
      expect(subscription?.polled).toEqual(points.slice(6));
      await told.until(() => told.latest.size === 6);
    } finally {
      await little.kill();
    }
  }, 60_000);

  test('few monitored items in one call', async () => {
    const little = await startPeer({ identity: bench.identity, many: MANY, limits: { maxMonitoredItemsPerCall: 3 } });
    try {
      const session = await connect({ endpoint: little.endpoint });
      const told = new Told();
      const subscription = await session.subscribe?.(deviceOf(points), points, told);
      expect(subscription?.polled).toEqual([]);
      await told.until(() => told.latest.size === MANY);
      expect(points.map((_, index) => told.latest.get(index))).toEqual([...points.keys()]);
    } finally {
      await little.kill();
    }
  }, 60_000);
});

describe('the way back', () => {
  /** The runtime's own loop over the driver. */
  function run(target: Peer): { poller: Poller; batches: Batch[]; next(): Promise<void> } {
    const batches: Batch[] = [];
    const written = { endpoint: target.endpoint, publishing: '20ms', keep_alive: '200ms', timeout: '1s' };
    const points = [pointOf('float64', 'Temp'), pointOf('float64', 'Spoilt', { mode: 'poll', every: 50 })];
    const poller = startPoller({
      ...driverContext(bench.folder.data),
      driver: opcua as Driver,
      settings: opcua.connection.parse(written),
      devices: [deviceOf(points)],
      log: pino({ level: 'silent' }),
      onBatch: (batch) => batches.push(batch),
    });
    const next = async (): Promise<void> => {
      const before = batches.length;
      await vi.waitUntil(() => batches.slice(before).some(({ values }) => values.includes(21.5)), { timeout: 20_000 });
    };
    return { poller, batches, next };
  }

  test('after a session or a subscription that expired, and after a restart: one session, one subscription', async () => {
    let target = await startPeer({ identity: bench.identity });
    const { poller, next } = run(target);
    try {
      await next();
      for (const what of ['expire', 'forget'] as const) {
        const back = next();
        await target.tell({ what });
        await back;
        expect(await target.tell({ what: 'count' })).toEqual({ sessions: 1, subscriptions: 1 });
      }
      const back = next();
      await target.kill();
      target = await startPeer({ identity: bench.identity, port: target.port });
      await back;
      expect(await target.tell({ what: 'count' })).toEqual({ sessions: 1, subscriptions: 1 });
      expect(poller.state('press').state).toBe('online');
    } finally {
      await poller.stop();
      await target.kill();
    }
  }, 60_000);

  test('is not needed when the keys of the channel are renewed', async () => {
    const restless = await startPeer({ identity: bench.identity, many: 1, keysLast: 1_000 });
    try {
      const session = await connect({ endpoint: restless.endpoint });
      const told = new Told();
      const points = [pointOf('float64', 'Many.0'), pointOf('float64', 'Temp')];
      await session.subscribe?.(deviceOf(points), points, told);
      // What is answered at once is never older than the keys it came with.
      await restless.tell({ what: 'churn', items: 1, every: 20 });
      await vi.waitUntil(async () => Number(await restless.tell({ what: 'renewals' })) >= 2, { timeout: 30_000 });
      await restless.tell({ what: 'set', node: 'Temp', value: 99 });
      await told.until(() => told.latest.get(1) === 99);
      expect(told.error).toBeUndefined();
      expect(await restless.tell({ what: 'count' })).toEqual({ sessions: 1, subscriptions: 1 });
    } finally {
      await restless.kill();
    }
  }, 60_000);

  test('a server that comes back with another certificate waits for trust again', async () => {
    let target = await startPeer({ identity: bench.identity });
    const { poller, next } = run(target);
    try {
      await next();
      await target.kill();
      const renewed = await makePem({ name: 'Press 7, renewed' });
      target = await startPeer({ identity: renewed, port: target.port });
      await vi.waitUntil(() => poller.state('press').reason?.startsWith('waiting for trust'), { timeout: 20_000 });
      expect(poller.state('press').state).toBe('offline');
    } finally {
      await poller.stop();
      await target.kill();
    }
  }, 60_000);
});
