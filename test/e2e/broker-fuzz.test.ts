import { once } from 'node:events';
import type { Socket } from 'node:net';
import { generate, type Packet } from 'mqtt-packet';
import { expect, test, vi } from 'vitest';
import type { Broker } from '../../src/broker/broker.js';
import { knock, PASSWORD, startLocal, subscribe, visit } from '../support/local-broker.js';
import { random } from '../support/random.js';

const SEED = Number(process.env.SEED ?? 1);
const ATTACKS = Number(process.env.ATTACKS ?? 1_000);
/** How many come at once. */
const TOGETHER = 25;

type Chance = () => number;
const below = (chance: Chance, most: number): number => Math.floor(chance() * most);
const pick = <T>(chance: Chance, from: readonly T[]): T => from[below(chance, from.length)] as T;
const bytes = (chance: Chance, length: number): Buffer => Buffer.from(Array.from({ length }, () => below(chance, 256)));

const hello = (chance: Chance): Buffer =>
  generate({
    cmd: 'connect',
    protocolId: 'MQTT',
    protocolVersion: 4,
    clean: chance() < 0.5,
    clientId: `c${below(chance, 40)}`,
    keepalive: below(chance, 3),
    username: 'app',
    password: Buffer.from(chance() < 0.9 ? PASSWORD : 'wrong'),
    ...(chance() < 0.3 && {
      will: {
        topic: pick(chance, [...TOPICS, 'app/+', 'app/#']),
        payload: Buffer.from('w'),
        qos: below(chance, 3) as 0 | 1 | 2,
        retain: true,
      },
    }),
  });

const TOPICS = ['app/a', 'app/b/c', 'site/x/y', 'other', '$SYS/x', '__proto__', 'app/'.repeat(150), 'app/\0'];
const FILTERS = [...TOPICS, '#', '+', 'app/#', '+/+', 'app/+/c', '#/a', 'a+', '$share/g/app/#', ''];

/** A packet such as clients send, right or not. */
function packet(chance: Chance): Buffer {
  const messageId = 1 + below(chance, 5);
  const qos = pick(chance, [0, 1, 2] as const);
  const topic = pick(chance, TOPICS);
  const made: Packet[] = [
    {
      cmd: 'publish',
      topic,
      payload: bytes(chance, below(chance, 300)),
      qos,
      retain: chance() < 0.3,
      dup: false,
      messageId,
    },
    { cmd: 'subscribe', messageId, subscriptions: [{ topic: pick(chance, FILTERS), qos }] },
    { cmd: 'unsubscribe', messageId, unsubscriptions: [pick(chance, FILTERS)] },
    { cmd: 'pubrel', messageId },
    { cmd: 'pubrec', messageId },
    { cmd: 'puback', messageId },
    { cmd: 'pubcomp', messageId },
    { cmd: 'pingreq' },
    { cmd: 'disconnect' },
    { cmd: 'connack', returnCode: 0, sessionPresent: false },
    { cmd: 'suback', messageId, granted: [0] },
  ];
  try {
    return generate(pick(chance, made));
  } catch {
    return bytes(chance, 5);
  }
}

/** What one attacker sends. */
function attack(chance: Chance): Buffer {
  const stream = Buffer.concat([hello(chance), ...Array.from({ length: below(chance, 12) }, () => packet(chance))]);
  switch (below(chance, 6)) {
    case 0:
      return bytes(chance, 1 + below(chance, 200));
    case 1:
      return stream.subarray(0, below(chance, stream.length));
    case 2: {
      // Some bytes are others.
      for (let i = 0; i <= below(chance, 4); i++) stream[below(chance, stream.length)] = below(chance, 256);
      return stream;
    }
    case 3:
      return Buffer.concat([hello(chance), bytes(chance, below(chance, 100))]);
    case 4:
      return Buffer.concat([hello(chance), hello(chance)]);
    default:
      return stream;
  }
}

/** Sends it in pieces, and goes in one way or another. */
async function strike(broker: Broker, chance: Chance): Promise<void> {
  const socket: Socket = await knock(broker);
  if (chance() < 0.7) socket.resume();
  const all = attack(chance);
  for (let from = 0; from < all.length; ) {
    const to = from + 1 + below(chance, chance() < 0.2 ? 3 : 4_000);
    socket.write(all.subarray(from, to));
    from = to;
    if (chance() < 0.3) await new Promise(setImmediate);
  }
  if (chance() < 0.3)
    await Promise.race([once(socket, 'data'), once(socket, 'close'), once(socket, 'end')]).catch(() => {});
  if (chance() < 0.5) socket.destroy();
  else socket.end();
}

test(`${ATTACKS} attackers with seed ${SEED}: nobody else notices, nothing is faked, and nothing of them stays`, async () => {
  const users = {
    app: { read: ['app/#'], write: ['app/#', '$SYS/#'] },
    judge: { read: ['#', '$SYS/x', '$refused'], write: ['judge'] },
  };
  const limits = { connects: 10_000, connect_within: '100ms', retained: { topics: 50, size: '10kB' } };
  const broker = await startLocal(users, { limits });
  const judge = await visit(broker, 'judge');
  await subscribe(judge, '#', '$SYS/x', '$refused');
  broker.retain('site/x/y', 'true');
  const chance = random(SEED);
  for (let round = 0; round < ATTACKS / TOGETHER; round++) {
    await Promise.all(Array.from({ length: TOGETHER }, () => strike(broker, chance)));
    const seen = judge.got.length;
    await judge.client.publishAsync('judge', String(round), { qos: 1 });
    await judge.until((got) => got.slice(seen).some(({ topic, text }) => topic === 'judge' && text === String(round)));
  }
  await vi.waitFor(() => expect(broker.status().clients).toBe(1), 10_000);
  expect(judge.client.connected).toBe(true);
  const outside = judge.got.filter(({ topic }) => !/^(app\/|judge$|\$SYS\/x$|\$refused$)/.test(topic));
  expect(outside).toEqual([{ topic: 'site/x/y', text: 'true', retain: false }]);
  expect(judge.got.filter(({ topic, text }) => topic === '$refused' && text !== '')).toEqual([]);
  expect(broker.status().retained).toBeLessThanOrEqual(51);
  expect(judge.got.filter(({ topic }) => /[+#]/.test(topic) || topic.includes('\0'))).toEqual([]);
  // All kinds of attack got through to where they were refused.
  expect(Object.keys(broker.status().refused).sort()).toEqual(
    expect.arrayContaining(['protocol', 'read', 'sign-in', 'write']),
  );
}, 120_000);
