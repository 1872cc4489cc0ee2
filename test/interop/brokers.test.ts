/** Every way that mosquitto lets a client in, with both versions of MQTT; and what happens when it does not. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { type Certificates, makeCertificates } from '../support/certificates.js';
import { startTidegate, writeSite } from './gateway.js';
import { type ModbusServer, PYMODBUS, startModbusServer } from './modbus-server.js';
import { type Broker, type BrokerOptions, MOSQUITTO, startBroker, subscribe } from './mosquitto.js';
import { missing, type Program, temporaryFolder } from './programs.js';

const why = missing(...MOSQUITTO, PYMODBUS, 'openssl');
const USER = { name: 'plant', password: 'pass word: "7"' };

/** How mosquitto names the versions in its log. */
const VERSIONS = [
  { version: '3.1.1', logged: 'p2' },
  { version: '5', logged: 'p5' },
  { version: 'auto', logged: 'p5' },
] as const;

describe.skipIf(why)(`letting in${why ? `: ${why}` : ''}`, () => {
  let device: ModbusServer;
  let tls: Certificates;
  let broker: Broker | undefined;
  let gateway: Program | undefined;

  beforeAll(async () => {
    device = await startModbusServer({ 1: { holding: { 0: [4321] } } });
    tls = makeCertificates(temporaryFolder());
  });
  afterEach(async () => {
    await gateway?.stop('SIGKILL');
    await broker?.stop();
  });
  afterAll(() => device?.stop());

  async function start(options: BrokerOptions, keys: Record<string, string>): Promise<Broker> {
    broker = await startBroker(options);
    const scheme = options.certificates ? 'mqtts' : 'mqtt';
    const upstream = { url: `${scheme}://127.0.0.1:${broker.port}`, client_id: 'gateway-under-test', ...keys };
    const folder = writeSite({
      'gateway.yaml': `gateway: bench-2
connections: { plc: { driver: modbus, tcp: "127.0.0.1:${device.port}" } }
devices: { meter-1: { profile: interop/one, connection: plc } }
upstreams: { cloud: ${JSON.stringify(upstream)} }
`,
      'device-profiles/interop/one.yaml': `profile: interop/one
title: One register
driver: modbus
points: { word: { address: 0, type: uint16, every: 100ms } }
`,
      password: `${USER.password}\n`,
    });
    gateway = startTidegate(['run', `${folder}/gateway.yaml`], { BROKER_PASSWORD: USER.password });
    return broker;
  }

  describe.each(VERSIONS)('MQTT $version', ({ version, logged }) => {
    test.each([
      ['anybody', () => [{}, {}]],
      [
        'a user whose password comes from a file',
        // biome-ignore lint/suspicious/noTemplateCurlyInString: a placeholder of gateway.yaml
        () => [{ user: USER }, { username: USER.name, password: '${file:password}' }],
      ],
      [
        'a user whose password comes from the environment, over TLS',
        () => [
          { user: USER, certificates: tls },
          // biome-ignore lint/suspicious/noTemplateCurlyInString: a placeholder of gateway.yaml
          { username: USER.name, password: '${env:BROKER_PASSWORD}', ca: tls.ca },
        ],
      ],
      [
        'a client with a certificate',
        () => [
          { certificates: tls, mutual: true },
          { ca: tls.ca, cert: tls.client.cert, key: tls.client.key },
        ],
      ],
    ] as [string, () => [BrokerOptions, Record<string, string>]][])('%s', async (_, ways) => {
      const [options, keys] = ways();
      const broker = await start(options, { ...keys, version });
      const login = await broker.program.line((line) => /connected from .* as gateway-under-test/.test(line));
      expect(login).toContain(`(${logged},`);
      const subscriber = await subscribe(broker, 'tidegate/bench-2/meter-1/telemetry');
      const { payload } = await subscriber.message(() => true);
      await subscriber.stop();
      expect(JSON.parse(payload).values).toEqual({ word: 4321 });
      expect(gateway?.lines.join('\n')).not.toContain(USER.password);
    });
  });

  describe('refusals are said, and nothing is sent', () => {
    test.each([
      ['a wrong password', /not authori[sz]ed/i, () => [{ user: USER }, { username: USER.name, password: 'wrong' }]],
      ['a broker that nobody vouches for', /certificate/i, () => [{ certificates: tls }, {}]],
      [
        'a client whose certificate another authority signed',
        /alert|certificate|closed|reset/i,
        () => [
          { certificates: tls, mutual: true },
          { ca: tls.ca, cert: tls.stranger.cert, key: tls.stranger.key },
        ],
      ],
    ] as [string, RegExp, () => [BrokerOptions, Record<string, string>]][])('%s', async (_, reason, ways) => {
      const [options, keys] = ways();
      const broker = await start(options, keys);
      const said = await gateway?.line((line) => line.includes('UPSTREAM_DOWN'));
      expect(JSON.parse(said ?? '')).toMatchObject({
        level: 'warn',
        upstream: 'cloud',
        reason: expect.stringMatching(reason),
      });
      expect(broker.program.lines.filter((line) => line.includes('Received PUBLISH'))).toEqual([]);
    });
  });
});
