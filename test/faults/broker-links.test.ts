/** Between the gateway and its broker: links that are cut, fall silent or fill up, names and ports that come and go. */
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { resolveTo } from '../support/names.js';
import { random } from '../support/random.js';
import { type Script, ScriptedBroker } from '../support/scripted-broker.js';
import { type Cut, TcpProxy, type Way } from '../support/tcp-proxy.js';
import { BrokerScene } from './broker-scene.js';
import { SEED } from './scene.js';

const FOREVER = { ack_timeout: '10m' };

/** A friendly broker behind a proxy. */
async function behindProxy(settings: object, cut?: (connection: number) => Cut): Promise<[BrokerScene, TcpProxy]> {
  const broker = await ScriptedBroker.start();
  onTestFinished(() => broker.stop());
  const proxy = await TcpProxy.to(broker.port, cut);
  onTestFinished(() => proxy.stop());
  return [await BrokerScene.before([broker], proxy.url, settings), proxy];
}

/** Closes the n-th connection at its `counts[n]`-th PUBLISH, which it does not acknowledge; is friendly after the last. */
function closing(counts: readonly number[]): Script {
  let taken = 0;
  let current = 0;
  return {
    publish: ({ number, socket }) => {
      if (number !== current) taken = 0;
      current = number;
      if (++taken < (counts[number - 1] ?? Number.POSITIVE_INFINITY)) return {};
      socket.destroy();
      return 'silence';
    },
  };
}

describe.each(['3.1.1', '5'])('MQTT %s: a link', (version) => {
  const quick = { version, reconnect: { min: '1ms', max: '2ms' } };

  test('that breaks after 1 to 8 messages, thirty times: nothing is lost, reordered or blamed', async () => {
    const draw = random(SEED);
    const counts = Array.from({ length: 30 }, () => 1 + Math.floor(draw() * 8));
    const scene = await BrokerScene.set(closing(counts), quick);
    scene.accept(300);
    await scene.broker.until(() => scene.broker.connections > 30);
    await scene.check('link breaks after n messages', { runs: 30 });
  });

  test('that breaks at the first message six times, and then at the second: no message is blamed', async () => {
    const counts = [1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2];
    const scene = await BrokerScene.set(closing(counts), quick);
    scene.accept(100);
    await scene.check('link breaks after n messages', { runs: counts.length });
  });

  test.each<[string, (draw: number) => Cut]>([
    ['on the way up', (draw) => ({ up: 1 + Math.floor(draw * 4_000) })],
    ['on the way down', (draw) => ({ down: 1 + Math.floor(draw * 100) })],
  ])('that is cut in the middle of packets %s, thirty times', async (_, cut) => {
    const draw = random(SEED);
    const [scene, proxy] = await behindProxy(quick, (number) => (number <= 30 ? cut(draw()) : {}));
    // Enough that all thirty are used up.
    const more = setInterval(() => scene.accept(20), 5);
    await vi.waitFor(() => expect(proxy.connections).toBeGreaterThan(30), 20_000);
    clearInterval(more);
    await scene.check('link is cut in mid-packet', { runs: 30 });
  });
});

describe('a half-open link: packets vanish, and no side is told', () => {
  const WAYS: [string, Way[]][] = [
    ['both ways', ['up', 'down']],
    ['to the broker', ['up']],
    ['to the gateway', ['down']],
  ];

  test.each(WAYS)(
    '%s, while nothing is sent: found within one and a half `keepalive`, without a message to lose',
    async (_, ways) => {
      const [scene, proxy] = await behindProxy({ keepalive: '1s', ...FOREVER });
      scene.accept(20);
      await vi.waitFor(() => expect(scene.upstream.status().acknowledged).toBe(20));
      proxy.swallow(...ways);
      await scene.tells(/Keepalive timeout/);
      scene.accept(20);
      const { duplicates } = await scene.check('link is half-open');
      expect(duplicates).toBe(0);
    },
  );

  test.each(WAYS)('%s, while messages are on their way: found within `ack_timeout`', async (_, ways) => {
    const [scene, proxy] = await behindProxy({ ack_timeout: '200ms' });
    scene.accept(20);
    await vi.waitFor(() => expect(scene.upstream.status().acknowledged).toBe(20));
    proxy.swallow(...ways);
    scene.accept(100);
    await scene.tells(/no acknowledgement/);
    const { duplicates } = await scene.check('link is half-open');
    // What the broker took and could not say: a window at most.
    expect(duplicates).toBeLessThanOrEqual(32);
  });
});

describe('a broker that is slower than the field: what is too old to be live goes to disk, and all comes in order', () => {
  /** Resolves when the outbox keeps no more than this in memory. */
  const roomy = (scene: BrokerScene, live: number) =>
    vi.waitFor(() => expect(scene.upstream.status().waiting.live).toBeLessThan(live), 20_000);

  test('it stops reading, the socket is full: no more than a window is written to it', async () => {
    const scene = await BrokerScene.set(
      {
        publish: ({ number, socket }) => {
          if (number <= 3) socket.pause();
          return number <= 3 ? 'silence' : {};
        },
      },
      { ack_timeout: '300ms', keepalive: '10m' },
    );
    // 20 MB in all: more than the sockets of the loopback hold.
    for (let batch = 0; batch < 20; batch++) {
      scene.accept(50, { state: 'x'.repeat(20_000) });
      expect(scene.upstream.status().inFlight).toBeLessThanOrEqual(32);
      await roomy(scene, 50);
    }
    await scene.check('broker stops reading', { runs: 3 });
  });

  test('it takes a tenth of what comes: memory does not grow, whatever waits', async () => {
    const acks: (() => void)[] = [];
    const scene = await BrokerScene.set(
      {
        publish: ({ send }, { messageId = 0 }) => {
          acks.push(() => send({ cmd: 'puback', messageId }));
          return 'silence';
        },
      },
      FOREVER,
    );
    const acknowledge = (most: number, every: number) => {
      const timer = setInterval(() => acks.splice(0, most).map((ack) => ack()), every);
      onTestFinished(() => clearInterval(timer));
      return timer;
    };
    const slow = acknowledge(1, 10);
    for (let batch = 0; batch < 20; batch++) {
      scene.accept(100, { alarms: false });
      await roomy(scene, 100);
    }
    expect(scene.upstream.status().waiting.backlog).toBeGreaterThan(1_000);
    clearInterval(slow);
    acknowledge(32, 1);
    const { duplicates } = await scene.check('broker is slower than the field');
    expect(duplicates).toBe(0);
  });
});

describe('a broker that is not there', () => {
  test('restarts three times and forgets everything: is told again that the gateway is online, and gets all', async () => {
    const scene = await BrokerScene.set({});
    for (let restart = 0; restart < 3; restart++) {
      scene.accept(20);
      const { broker } = scene;
      await broker.until(() => broker.published.length > 0);
      broker.stop();
      scene.accept(20);
      await scene.tells(/ECONNREFUSED.*nothing listens there: check host and port in `url:`/);
      await scene.brokerReturns();
    }
    await scene.check('broker restarts and forgets', { runs: 3 });
    await scene.broker.until(() => scene.broker.status.length === 1);
    expect(scene.broker.status[0]).toMatchObject({ retain: true, topic: 'tidegate/g/status' });
    expect(String(scene.broker.status[0]?.payload)).toContain('"state":"online"');
  });

  test.each([
    [
      'its name is not known',
      { code: 'ENOTFOUND' },
      /ENOTFOUND broker\.test; check the host in `url:`, and the DNS server/,
    ],
    [
      'the resolver does not answer',
      { code: 'EAI_AGAIN' },
      /EAI_AGAIN broker\.test; check the host in `url:`, and the DNS server/,
    ],
    // No route leads there: a connection to the broadcast address fails at once.
    ['the network cannot be reached', { address: '255.255.255.255' }, /ENETUNREACH.*; check this machine's cable/],
  ])('%s: that is told, and all arrives once it is healed', async (_, wrong, words) => {
    const broker = await ScriptedBroker.start();
    onTestFinished(() => broker.stop());
    let answer: { address: string } | { code: string } = wrong;
    resolveTo(() => answer);
    const scene = await BrokerScene.before([broker], `mqtt://broker.test:${broker.port}`);
    scene.accept(50);
    await scene.tells(words);
    expect(scene.upstream.status()).toMatchObject({ link: 'offline', accepted: 50 });
    answer = { address: '127.0.0.1' };
    const { duplicates } = await scene.check('broker cannot be found');
    expect(duplicates).toBe(0);
  });
});
