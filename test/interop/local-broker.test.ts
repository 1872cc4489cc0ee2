/** Mosquitto's clients at our broker: readings under `site/`, users, rights, TLS, retained messages, last wills, versions. */
import { spawnSync } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { hashPassword } from '../../src/config/password.js';
import { type Certificates, makeCertificates } from '../support/certificates.js';
import { startTidegate, writeSite } from './gateway.js';
import { type Broker, MOSQUITTO, subscribe } from './mosquitto.js';
import { freePort, missing, type Program, temporaryFolder } from './programs.js';

const why = missing(...MOSQUITTO, 'openssl', 'stdbuf');

describe.skipIf(why)(`mosquitto's clients at our broker${why ? `: ${why}` : ''}`, () => {
  let certificates: Certificates;
  let simulator: Program;
  let gateway: Program;
  let near: Broker;
  let user: Broker;
  let safe: Broker;

  beforeAll(async () => {
    certificates = makeCertificates(temporaryFolder());
    const [device, plain, tls] = [await freePort(), await freePort(), await freePort()];
    simulator = startTidegate(['simulate', 'eastron/sdm120', '--port', String(device), '--json']);
    await simulator.line((line) => line.startsWith('{'));
    const broker = {
      listen: `127.0.0.1:${plain}`,
      tls: { listen: `127.0.0.1:${tls}`, ...certificates.server },
      anonymous: { read: ['site/#'] },
      users: { app: { password: await hashPassword('open sesame'), read: ['site/#', 'app/#'], write: ['app/#'] } },
    };
    const folder = writeSite({
      'gateway.yaml': JSON.stringify({
        gateway: 'g',
        connections: { bus: { driver: 'modbus', tcp: `127.0.0.1:${device}` } },
        devices: { 'meter-1': { profile: 'eastron/sdm120', connection: 'bus', unit: 1 } },
        broker,
      }),
    });
    gateway = startTidegate(['run', `${folder}/gateway.yaml`]);
    await gateway.line((line) => line.includes('gateway started'));
    const at = (port: number, ...more: string[]): Broker => ({
      port,
      program: gateway,
      clientArgs: ['-h', '127.0.0.1', '-p', String(port), ...more],
      stop: async () => {},
    });
    const signedIn = ['-u', 'app', '-P', 'open sesame'];
    near = at(plain);
    user = at(plain, ...signedIn);
    safe = at(tls, ...signedIn, '--cafile', certificates.ca);
  });
  afterAll(async () => {
    await gateway?.stop();
    await simulator?.stop();
  });

  const publish = ({ clientArgs }: Broker, ...more: string[]) =>
    spawnSync('mosquitto_pub', ['-V', 'mqttv311', ...clientArgs, ...more], { encoding: 'utf8', timeout: 10_000 });

  test('readings are there, retained, and go on', async () => {
    const looker = await subscribe(near, 'site/#');
    await looker.next(({ topic, retained }) => topic === 'site/meter-1/voltage' && !retained);
    await looker.stop();
    const late = await subscribe(near, 'site/+/voltage');
    const { retained, topic, payload } = await late.message(() => true);
    expect({ retained, topic }).toEqual({ retained: true, topic: 'site/meter-1/voltage' });
    expect(JSON.parse(payload)).toEqual({ value: expect.any(Number), unit: 'V', ts: expect.any(Number) });
    await late.stop();
  });

  test.each([0, 1, 2])('messages of a user at QoS %i reach others, also by TLS', async (qos) => {
    const looker = await subscribe(safe, 'app/#');
    expect(publish(user, '-q', String(qos), '-t', `app/${qos}`, '-m', 'over the plain port').status).toBe(0);
    expect(publish(safe, '-q', String(qos), '-t', `app/${qos}`, '-m', 'over TLS').status).toBe(0);
    await looker.message(({ topic, payload }) => topic === `app/${qos}` && payload === 'over the plain port');
    await looker.message(({ topic, payload }) => topic === `app/${qos}` && payload === 'over TLS');
    await looker.stop();
  });

  test('a retained message is there for those who come later, until it is cleared', async () => {
    expect(publish(user, '-r', '-q', '1', '-t', 'app/kept', '-m', 'there').status).toBe(0);
    const looker = await subscribe(user, 'app/kept');
    expect(await looker.message(() => true)).toEqual({ retained: true, topic: 'app/kept', payload: 'there' });
    expect(publish(user, '-r', '-n', '-q', '1', '-t', 'app/kept').status).toBe(0);
    await looker.message(({ payload }) => payload === '');
    await looker.stop();
  });

  test('a last will comes when its client is killed', async () => {
    const looker = await subscribe(user, 'app/will');
    const mortal = await subscribe(
      { ...user, clientArgs: [...user.clientArgs, '--will-topic', 'app/will', '--will-payload', 'gone'] },
      'app/other',
    );
    await mortal.stop('SIGKILL');
    await looker.message(({ payload }) => payload === 'gone');
    await looker.stop();
  });

  test('nobody fakes a reading, and a wider subscription is refused', async () => {
    const looker = await subscribe(near, 'site/fake/#');
    expect(publish(user, '-q', '1', '-t', 'site/fake/x', '-m', '1').status).toBe(0);
    expect(looker.received()).toEqual([]);
    await looker.stop();
    const args = [...near.clientArgs, '-V', 'mqttv311', '-W', '5', '-t', '#'];
    const { stderr } = spawnSync('mosquitto_sub', args, { encoding: 'utf8', timeout: 10_000 });
    expect(stderr).toMatch(/denied|rejected/i);
  });

  test.each<[string, string[], RegExp]>([
    ['a wrong password', ['-u', 'app', '-P', 'wrong'], /not authori[sz]ed/i],
    ['MQTT 5', ['-u', 'app', '-P', 'open sesame', '-V', 'mqttv5'], /protocol version/i],
  ])('%s is refused, in words that the client understands', (_, more, words) => {
    const args = [...near.clientArgs, '-V', 'mqttv311', ...more, '-t', 'app/x', '-m', '1', '-q', '1'];
    const { status, stderr } = spawnSync('mosquitto_pub', args, { encoding: 'utf8', timeout: 10_000 });
    expect(status).not.toBe(0);
    expect(stderr).toMatch(words);
  });

  test('who does not trust our certificate does not sign in', () => {
    const args = [
      '-h',
      '127.0.0.1',
      '-p',
      String(safe.port),
      '--cafile',
      certificates.stranger.cert,
      '-u',
      'app',
      '-P',
      'open sesame',
    ];
    const { status } = spawnSync('mosquitto_pub', [...args, '-t', 'app/x', '-m', '1'], {
      encoding: 'utf8',
      timeout: 10_000,
    });
    expect(status).not.toBe(0);
  });
});
