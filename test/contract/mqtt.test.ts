/** The contract, over MQTT: a device that a real broker stands between, behind a relay that can misbehave. */
import { mqtt } from '../../drivers/mqtt/index.js';
import type { Driver } from '../../src/driver.js';
import type { Point, Value } from '../../src/model.js';
import { FieldBroker } from '../support/field-broker.js';
import { deviceOf, pointOf } from '../support/mqtt-points.js';
import { startRelay } from '../support/tcp-relay.js';
import { type DriverBench, driverContract } from './driver.js';

const WRITTEN = pointOf('int16', 'setpoint', {
  access: 'read-write',
  pointer: '/setpoint',
  command: { topic: '{topic}/set', payload: { setpoint: '{value}' } },
});
const POINTS: Point[] = [
  pointOf('float64', 'power', { pointer: '/power' }),
  pointOf('bool', 'relay', { topic: 'stat/{topic}/POWER' }),
  pointOf('uint64', 'total', { pointer: '/energy/total' }),
  pointOf('string', 'name', { pointer: '/name' }),
  pointOf('float32', 'level', { topic: '{topic}/raw', binary: { at: 2, order: 'DCBA' } }),
  WRITTEN,
];
const whole = deviceOf(POINTS as never);
const withMissing = deviceOf([...POINTS, pointOf('float64', 'nowhere', { pointer: '/nowhere' })] as never);

async function overRelay(): Promise<DriverBench> {
  const broker = await FieldBroker.start();
  const relay = await startRelay(broker.port);
  const truth: Value[] = [21.5, true, 0xffff_ffff_ffff_ffffn, 'Plug 7', 230.15, -5];
  let spoilt = false;
  let version = 0;
  const publish = (): void => {
    const [power, , , name, , setpoint] = truth;
    const total = '{"total":18446744073709551615}';
    const rest = JSON.stringify({ power, name, setpoint }).slice(1);
    broker.publish('hall/plug', `{"energy":${total},${rest}`);
  };
  publish();
  broker.publish('stat/hall/plug/POWER', 'ON');
  const bytes = Buffer.alloc(6);
  bytes.writeFloatLE(230.15, 2);
  broker.publish('hall/plug/raw', bytes);
  await broker.on('hall/plug/set', (payload) => {
    truth[5] = (JSON.parse(payload) as { setpoint: number }).setpoint;
    publish();
  });
  return {
    driver: mqtt as Driver,
    connection: { broker: `mqtt://127.0.0.1:${relay.port}`, timeout: '500ms', keepalive: '1s' },
    get device() {
      return spoilt ? withMissing : whole;
    },
    dead: deviceOf([pointOf('float64', 'a'), pointOf('float64', 'b', { pointer: '/b' })], 'hall/gone'),
    writable: { point: WRITTEN, raws: [7, -32_768] },
    truth: () => (spoilt ? [...truth, null] : truth),
    spoil: () => {
      spoilt = true;
      return POINTS.length;
    },
    change: () => {
      truth[5] = 1234;
      publish();
      return 5;
    },
    announce: () => {
      version += 1;
      const announced = { t: 'tasmota_A1B2C3', md: 'Plug', sw: `14.${version}`, mac: 'AABBCCA1B2C3', dn: 'Fridge' };
      broker.publish('tasmota/discovery/AABBCCA1B2C3/config', announced);
      const { md: model, sw: firmware, mac: serial_number } = announced;
      return { settings: { topic: announced.t }, identity: { vendor: 'Tasmota', model, firmware, serial_number } };
    },
    silence: relay.silence,
    cut: relay.cut,
    close: async () => {
      await relay.close();
      await broker.close();
    },
  };
}

driverContract('mqtt', overRelay, ['subscribe', 'discover']);
