/** A broker that does not let the gateway in, or shows it out: each reason code is told in words, with what to do, and nothing is lost. */
import { describe, expect, test } from 'vitest';
import { BrokerScene } from './broker-scene.js';

/** Refusals of a connection: MQTT 3.1.1 table 3.1, and MQTT 5 table 3-1. What the operator has to read, for each. */
const REFUSALS_3: [code: number, words: RegExp][] = [
  [1, /protocol version .*`version:`/],
  [2, /client id .*`client_id:`/],
  [3, /server unavailable .*broker's log/],
  [4, /bad user name or password .*`username:` and `password:`/],
  [5, /not authorized .*access rules/],
];
const REFUSALS_5: [code: number, words: RegExp][] = [
  [0x80, /unspecified error .*broker's log/],
  [0x81, /malformed packet .*report/],
  [0x82, /protocol error .*report/],
  [0x83, /implementation specific error .*broker's log/],
  [0x84, /protocol version .*`version:`/],
  [0x85, /client id .*`client_id:`/],
  [0x86, /bad user name or password .*`username:` and `password:`/],
  [0x87, /not authorized .*access rules/],
  [0x88, /server unavailable .*broker's log/],
  [0x89, /server busy .*broker's log/],
  [0x8a, /banned .*lift the ban/],
  [0x8c, /bad authentication method .*password or a client certificate/],
  [0x90, /topic name invalid .*`status_topic:`/],
  [0x95, /packet too large .*limit/],
  [0x97, /quota exceeded .*limit/],
  [0x99, /payload format invalid .*payload/],
  [0x9b, /QoS not supported .*QoS 1/],
  [0x9c, /use another server .*names other:1883.*`url:`/],
  [0x9d, /server moved .*names other:1883.*`url:`/],
  [0x9f, /connection rate exceeded .*`reconnect.min:`/],
];

/** What a server may say in DISCONNECT (MQTT 5 table 3-13), but for subscriptions; and whether the message on its way is above suspicion. */
const GOODBYES: [code: number, words: RegExp][] = [
  [0x00, /normal disconnection/],
  [0x80, /unspecified error .*broker's log/],
  [0x81, /malformed packet .*report/],
  [0x82, /protocol error .*report/],
  [0x83, /implementation specific error .*broker's log/],
  [0x87, /not authorized .*access rules/],
  [0x89, /server busy .*broker's log/],
  [0x8b, /server shutting down/],
  [0x8d, /keep alive timeout .*`keepalive:`/],
  [0x8e, /session taken over .*same client id.*`client_id:`/],
  [0x90, /topic name invalid .*`topic:`/],
  [0x93, /receive maximum exceeded .*`in_flight:`/],
  [0x94, /topic alias invalid/],
  [0x95, /packet too large .*limit/],
  [0x96, /message rate too high .*`backlog.max_rate:`/],
  [0x97, /quota exceeded .*`backlog.max_rate:`/],
  [0x98, /administrative action .*ask/],
  [0x99, /payload format invalid .*payload/],
  [0x9a, /retain not supported/],
  [0x9b, /QoS not supported .*QoS 1/],
  [0x9c, /use another server .*names other:1883.*`url:`/],
  [0x9d, /server moved .*names other:1883.*`url:`/],
  [0x9f, /connection rate exceeded .*`reconnect.min:`/],
  [0xa0, /maximum connect time/],
];

const ELSEWHERE = { serverReference: 'other:1883' };

describe('a broker that refuses three connections: why and what to do is told, and all arrives on the fourth', () => {
  test.each(REFUSALS_3)('MQTT 3.1.1, return code %i', async (returnCode, words) => {
    const scene = await BrokerScene.set(
      { connack: ({ number }) => (number <= 3 ? { returnCode } : {}) },
      { version: '3.1.1' },
    );
    await isRefused(scene, words);
  });

  test.each(REFUSALS_5)('MQTT 5, reason code %i', async (reasonCode, words) => {
    const scene = await BrokerScene.set(
      { connack: ({ number }) => (number <= 3 ? { reasonCode, properties: ELSEWHERE } : {}) },
      { version: '5' },
    );
    await isRefused(scene, words);
  });

  async function isRefused(scene: BrokerScene, words: RegExp): Promise<void> {
    scene.accept(50);
    await scene.broker.until(() => scene.broker.connections === 3);
    expect(scene.published).toEqual([]);
    expect(scene.upstream.status()).toMatchObject({
      link: 'offline',
      accepted: 50,
      reason: expect.stringMatching(words),
    });
    const { duplicates } = await scene.check('broker refuses connections', { runs: 3 });
    expect(duplicates).toBe(0);
    // Once, not three times.
    expect(scene.told.filter(({ code }) => code === 'UPSTREAM_DOWN')).toEqual([
      expect.objectContaining({ level: 40, reason: expect.stringMatching(words) }),
    ]);
  }

  test('for one reason and then for another: both are told', async () => {
    const reasons = [0x88, 0x88, 0x87];
    const scene = await BrokerScene.set(
      { connack: ({ number }) => ({ reasonCode: reasons[number - 1] ?? 0 }) },
      { version: '5' },
    );
    scene.accept(10);
    await scene.check('broker refuses connections', { runs: 3 });
    const told = scene.told.filter(({ code }) => code === 'UPSTREAM_DOWN').map(({ reason }) => reason);
    expect(told).toEqual([expect.stringMatching(/server unavailable/), expect.stringMatching(/not authorized/)]);
  });

  test('with words of its own: they are told too', async () => {
    const properties = { reasonString: 'the licence has expired' };
    const scene = await BrokerScene.set(
      { connack: ({ number }) => (number === 1 ? { reasonCode: 0x88, properties } : {}) },
      { version: '5' },
    );
    scene.accept(1);
    await scene.tells(/says "the licence has expired"/);
    await scene.check('broker refuses connections');
  });
});

describe('a broker that lacks something', () => {
  test('speaks only MQTT 3.1.1: is spoken to in 3.1.1 at once', async () => {
    const scene = await BrokerScene.set({
      connack: (_, { protocolVersion }) => (protocolVersion === 5 ? { reasonCode: 0x84 } : {}),
    });
    scene.accept(20);
    await scene.check('broker lacks MQTT 5');
    expect(scene.broker.connects.map(({ protocolVersion }) => protocolVersion)).toEqual([5, 4]);
  });

  test('keeps no retained messages, and refuses a last will that asks for it: gets one that does not', async () => {
    const scene = await BrokerScene.set(
      { connack: (_, { will }) => (will?.retain ? { reasonCode: 0x9a } : { properties: { retainAvailable: false } }) },
      { version: '5' },
    );
    scene.accept(20);
    await scene.check('broker lacks retained messages');
    expect(scene.broker.connects.map(({ will }) => will?.retain)).toEqual([true, false]);
    expect(scene.broker.status.map(({ retain }) => retain)).toEqual([false]);
  });

  test('takes QoS 0 only: is sent nothing, since nothing would be acknowledged; all arrives when it takes QoS 1', async () => {
    const scene = await BrokerScene.set(
      { connack: ({ number }) => (number <= 2 ? { properties: { maximumQoS: 0 } } : {}) },
      { version: '5' },
    );
    scene.accept(20);
    await scene.tells(/QoS not supported .*QoS 1/);
    await scene.check('broker lacks QoS 1');
    expect(scene.published.map(({ connection }) => connection)).not.toContain(2);
  });
});

describe('MQTT 5: a broker that shows the gateway out with DISCONNECT three times: all arrives in the end', () => {
  test.each(GOODBYES)('reason code %i', async (reasonCode, words) => {
    const scene = await BrokerScene.set(
      {
        publish: ({ number, leave }) => {
          if (number > 3 || scene.published.length % 10 > 0) return {};
          leave({ cmd: 'disconnect', reasonCode, properties: ELSEWHERE });
          return 'silence';
        },
      },
      { version: '5' },
    );
    scene.accept(100);
    await scene.tells(words);
    await scene.check('broker ends connections', { runs: 3 });
  });

  test.each([
    [0x89, 'server busy'],
    [0x8e, 'session taken over'],
    [0x96, 'message rate too high'],
    [0x97, 'quota exceeded'],
    [0x98, 'administrative action'],
    [0x9f, 'connection rate exceeded'],
  ])('%i (%s) each time one message comes, and never at another: the message is not blamed', async (reasonCode) => {
    const scene = await BrokerScene.set(
      {
        publish: ({ number, leave }, { payload }) => {
          if (number > 20 || !String(payload).includes('"n":3,')) return {};
          leave({ cmd: 'disconnect', reasonCode });
          return 'silence';
        },
      },
      { version: '5', reconnect: { min: '1ms', max: '2ms' } },
    );
    scene.accept(10);
    await scene.check('broker ends connections', { runs: 20 });
  });
});

describe('two gateways with one client id', () => {
  test('are told so, and come back more and more seldom; nothing is lost', async () => {
    const pauses: number[] = [];
    let gone = 0;
    const scene = await BrokerScene.set(
      {
        connack: ({ number, leave }) => {
          if (gone > 0) pauses.push(performance.now() - gone);
          // The other one takes the session over as soon as this one has had its birth acknowledged.
          if (number <= 5)
            setTimeout(() => {
              leave({ cmd: 'disconnect', reasonCode: 0x8e });
              gone = performance.now();
            }, 5);
          return {};
        },
      },
      { version: '5', reconnect: { min: '16ms', max: '10s' } },
    );
    scene.accept(30);
    await scene.tells(/session taken over .*each gateway its own `gateway:` name or `client_id:`/);
    await scene.broker.until(() => scene.broker.connections === 6);
    await scene.check('two gateways with one client id', { runs: 5 });
    // 16, 32, 64, 128, 256 ms, or half of that: never sooner, whatever the machine does.
    const floors = pauses.map((_, i) => 8 * 2 ** i);
    expect(pauses.filter((pause, i) => pause < (floors[i] ?? 0) - 2)).toEqual([]);
    expect(pauses).toHaveLength(5);
  });
});
