/** Serves devices over Modbus TCP, or RTU on a serial line, with plausible values, encoded by the codec that decodes replies. */
import type { Simulator, SimulatorOptions } from '../../src/driver.js';
import { TidegateError } from '../../src/errors.js';
import type { Device, Point, Value } from '../../src/model.js';
import { peakOf, stateWave, waveOf } from '../../src/waves.js';
import { type Codec, codecOf } from './codec.js';
import { listen, listenOnSerial } from './listener.js';
import {
  connectionSchema,
  isBitTable,
  type ModbusAddress,
  type ModbusDevice,
  serialOf,
  TABLES,
  type Table,
} from './schema.js';
import type { Image, Unit } from './server.js';

type ModbusPoint = Point<ModbusAddress>;
type SimulatedDevice = Device<ModbusDevice, ModbusAddress>;

/** Values move on when read, at most this often (milliseconds). */
const REFRESH = 100;

/**
 * Serves each device under its unit id. Registers without a point answer exception 02, other unit ids exception 0B (on a serial line
 * nothing); what is written stays.
 * @throws TidegateError CONFIG_CONFLICT when two devices have the same unit id, LINK_DOWN when the port is taken, USAGE when
 *   the serial line is described wrongly
 */
export function simulate(devices: readonly SimulatedDevice[], options: SimulatorOptions): Promise<Simulator> {
  const units = new Map<number, Unit>();
  for (const device of devices) {
    const { unit } = device.settings;
    if (units.has(unit))
      throw new TidegateError('CONFIG_CONFLICT', `two devices with unit ${unit} cannot share one simulator`, {
        hint: 'Give each device its own unit, or simulate them one by one.',
      });
    units.set(unit, simulateUnit(device));
  }
  const { serial, faults } = options;
  return serial ? simulateLine(units, serial, faults) : listen(units, options);
}

async function simulateLine(
  units: ReadonlyMap<number, Unit>,
  { path, ...line }: NonNullable<SimulatorOptions['serial']>,
  faults: SimulatorOptions['faults'],
): Promise<Simulator> {
  const checked = connectionSchema.safeParse({ serial: path, ...line });
  const settings = checked.success ? serialOf(checked.data) : undefined;
  if (!settings) throw new TidegateError('USAGE', checked.error?.issues[0]?.message ?? 'no serial line');
  const { close } = await listenOnSerial(units, settings, faults);
  return { host: path, port: 0, close };
}

interface MovingPoint {
  readonly table: Table;
  readonly address: number;
  readonly codec: Codec;
  readonly raw: (seconds: number) => Value;
  readonly data: Buffer;
  readonly at: number;
  /** Written from outside: moves no more. */
  held: boolean;
  readonly writable: boolean;
}

function simulateUnit(device: SimulatedDevice): Unit {
  const images: Partial<Record<Table, Image>> = {};
  const moving: MovingPoint[] = [];
  const exponents = scaleFactors(device.points);
  for (const table of TABLES) {
    const points = device.points.filter((point) => point.address.table === table);
    const image = makeImage(table, points);
    if (!image) continue;
    images[table] = image;
    for (const point of points) {
      const { address } = point.address;
      moving.push({
        table,
        address,
        codec: codecOf(point),
        raw: rawWave(point, device.id, exponents),
        data: image.data,
        at: (address - image.from) * (isBitTable(table) ? 1 : 2),
        held: false,
        writable: point.access !== 'read',
      });
    }
  }
  const started = performance.now();
  let refreshed = -Infinity;
  const [vendor = '', model = ''] = device.profile.split('/');
  return {
    images,
    identity: [vendor, model, 'simulated'],
    beforeRead() {
      const now = performance.now();
      if (now - refreshed < REFRESH) return;
      refreshed = now;
      for (const point of moving)
        if (!point.held) point.codec.encode(point.raw((now - started) / 1000), point.data, point.at);
    },
    written(table, address, count) {
      for (const point of moving)
        if (
          point.writable &&
          point.table === table &&
          point.address < address + count &&
          point.address + point.codec.span > address
        )
          point.held = true;
    },
  };
}

function makeImage(table: Table, points: readonly ModbusPoint[]): Image | undefined {
  if (points.length === 0) return undefined;
  const from = Math.min(...points.map((point) => point.address.address));
  const size = Math.max(...points.map((point) => point.address.address + codecOf(point).span)) - from;
  const access = new Uint8Array(size);
  for (const point of points) {
    const start = point.address.address - from;
    const level = point.access === 'read' ? 1 : 2;
    for (let at = start; at < start + codecOf(point).span; at += 1) access[at] = Math.max(access[at] as number, level);
  }
  return { from, access, data: Buffer.alloc(isBitTable(table) ? Math.ceil(size / 8) : size * 2) };
}

/** Id of scale point → power of ten: one decimal more than whole numbers where all points that use it leave room for that. */
function scaleFactors(points: readonly ModbusPoint[]): Map<string, number> {
  const factors = new Map<string, number>();
  for (const scale of points.filter((point) => point.kind === 'scale')) {
    const users = points.filter((point) => point.scaleFrom === scale.id);
    const fits = (exponent: number): boolean =>
      users.every((user) => peakOf(user) / (Math.abs(user.scale) * 10 ** exponent) <= (rangeOf(user)?.[1] ?? Infinity));
    factors.set(scale.id, [-1, 0, 1, 2].find(fits) ?? 3);
  }
  return factors;
}

/** Scaled wave → raw value: the inverse of `value = raw × 10^factor × scale + offset`, kept within the type and off its invalid values. */
function rawWave(point: ModbusPoint, seed: string, exponents: ReadonlyMap<string, number>): (seconds: number) => Value {
  if (point.kind === 'scale') return () => exponents.get(point.id) ?? 0;
  const range = rangeOf(point);
  if (point.states && range) {
    const [least, most] = range;
    const raws = [...point.states.keys()].filter((raw) => raw >= least && raw <= most);
    const raw = stateWave(point, raws, seed);
    return point.type.endsWith('64') ? (seconds) => BigInt(raw(seconds)) : raw;
  }
  const wave = waveOf(point, seed);
  if (point.type === 'bool') return wave;
  if (point.type === 'string') return (seconds) => String(wave(seconds)).slice(0, (point.address.length ?? 1) * 2);
  const factor = point.scale * 10 ** (exponents.get(point.scaleFrom ?? '') ?? 0);
  const unscale = (seconds: number): number => (Number(wave(seconds)) - point.offset) / factor;
  if (!range) return unscale;
  const [least, most] = range;
  const invalid = new Set((point.invalid ?? []).map(Number));
  return (seconds) => {
    let raw = Math.min(most, Math.max(least, Math.round(unscale(seconds))));
    const aside = raw > (least + most) / 2 ? -1 : 1;
    while (invalid.has(raw)) raw += aside;
    return point.type.endsWith('64') ? BigInt(raw) : raw;
  };
}

/** What an integer point can hold; undefined for the others. 64-bit ones stay where a double is exact. */
function rangeOf(point: ModbusPoint): [number, number] | undefined {
  const { type } = point;
  if (type === 'float32' || type === 'float64' || type === 'bool' || type === 'string') return undefined;
  const { bits } = point.address;
  const width = bits ? bits[1] - bits[0] + 1 : Math.min(54, Number(type.replace(/\D/g, '')));
  return type.startsWith('u') ? [0, 2 ** Math.min(53, width) - 1] : [-(2 ** (width - 1)), 2 ** (width - 1) - 1];
}
