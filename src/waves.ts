/** Plausible values over time, for the simulator: the same device always starts the same. */
import type { Point, Value } from './model.js';

/** Value after scaling, at seconds since the start. */
export type Wave = (seconds: number) => Value;

/** Unit → usual value, how far it swings, and for counters its growth in a second. */
const USUAL: Record<string, readonly [usual: number, swing: number, growth?: number]> = {
  V: [230, 4],
  kV: [20, 0.3],
  A: [8, 5],
  mA: [12, 6],
  Hz: [50, 0.04],
  W: [1_850, 900],
  kW: [1.85, 0.9],
  VA: [1_950, 900],
  kVA: [1.95, 0.9],
  var: [320, 150],
  kvar: [0.32, 0.15],
  Wh: [0, 0, 0.5],
  kWh: [0, 0, 0.0005],
  MWh: [0, 0, 0.000_000_5],
  VAh: [0, 0, 0.5],
  kVAh: [0, 0, 0.0005],
  varh: [0, 0, 0.09],
  kvarh: [0, 0, 0.000_09],
  'A.h': [0, 0, 0.002],
  Ah: [0, 0, 0.002],
  Cel: [24, 6],
  K: [5, 2],
  '%': [55, 20],
  deg: [0, 120],
  bar: [2.1, 0.3],
  kPa: [210, 30],
  Pa: [180, 40],
  'm3/h': [1.4, 0.4],
  'L/h': [1_400, 400],
  'L/min': [23, 7],
  L: [0, 0, 0.4],
  m3: [0, 0, 0.0004],
  '{rpm}': [1_450, 60],
  h: [0, 0, 1 / 3600],
  min: [0, 0, 1 / 60],
  s: [0, 0, 1],
};

/** What the name of a point says about it beyond its unit. */
const BY_NAME: readonly [name: RegExp, usual: number, swing: number][] = [
  [/voltage.*(_ll|l\d_l\d)/, 399, 7],
  [/error|fault|alarm/, 0, 0],
  [/thd/, 2.4, 1],
  [/factor|cos_?phi/, 0.96, 0.03],
  [/serial|version|code|model|product/, 1_042, 0],
];
const SELDOM_TRUE = /event|error|fault|alarm|emergency|failure|defrost/;

/** How often a state or a coil may change, and the swing of a momentary value. */
const DWELL = 20;
const PERIOD = 90;

/** The wave of a point. `seed` names its device. */
export function waveOf(point: Point, seed: string): Wave {
  const chance = hash(`${seed} ${point.id}`);
  const phase = chance * 2 * Math.PI;
  if (point.type === 'string') return () => text(point, seed);
  if (point.access !== 'read') return constant(point, chance);
  if (point.type === 'bool')
    return (seconds) =>
      hash(`${chance} ${step(seconds, 3 * DWELL, chance)}`) < (SELDOM_TRUE.test(point.id) ? 0.02 : 0.3);
  const [usual, swing, growth] = usually(point);
  if (point.kind === 'counter') {
    const start = Math.round((1 + chance) * 1000) * (growth ?? 1) * 3600;
    const rate = growth ?? 1;
    // The derivative, rate × (1 + 0.8 sin), never turns negative.
    return (seconds) => start + rate * (seconds + 0.8 * (PERIOD / 6.3) * (1 - Math.cos((6.3 * seconds) / PERIOD)));
  }
  const [middle, amplitude] = within(point, usual, swing);
  return (seconds) => {
    const turn = (2 * Math.PI * seconds) / PERIOD + phase;
    return middle + amplitude * (0.7 * Math.sin(turn) + 0.3 * Math.sin(turn * 7.3));
  };
}

/** Raw values of states: one after the other, each for a while. */
export function stateWave(point: Point, raws: readonly number[], seed: string): (seconds: number) => number {
  const chance = hash(`${seed} ${point.id}`);
  const still = point.access !== 'read';
  return (seconds) => raws[Math.floor(chance * 97 + (still ? 0 : step(seconds, DWELL, chance))) % raws.length] ?? 0;
}

/** The largest value that a point reaches, to choose a scale factor that fits. */
export function peakOf(point: Point): number {
  const [usual, swing, growth] = usually(point);
  if (point.kind === 'counter') return (growth ?? 1) * 100_000_000;
  const [middle, amplitude] = within(point, usual, swing);
  return Math.abs(middle) + amplitude;
}

function usually(point: Point): readonly [usual: number, swing: number, growth?: number] {
  for (const [name, usual, swing] of BY_NAME) if (name.test(point.id)) return [usual, swing];
  return USUAL[point.unit ?? ''] ?? (point.kind === 'counter' ? [0, 0, 1] : [20, 10]);
}

/** A point that can be written stays where it is put; it starts at a round value. */
function constant(point: Point, chance: number): Wave {
  if (point.type === 'bool') return () => chance < 0.5 && !/start|reset|emergency/.test(point.id);
  const [usual, swing] = usually(point);
  const [middle] = within(point, usual, swing);
  const round = Math.round(middle);
  const { min = -Infinity, max = Infinity } = point.limits ?? {};
  return () => (round >= min && round <= max ? round : middle);
}

/** Middle and amplitude moved between the point's limits. */
function within(point: Point, usual: number, swing: number): [middle: number, amplitude: number] {
  const { min = -Infinity, max = Infinity } = point.limits ?? {};
  if (usual - swing >= min && usual + swing <= max) return [usual, swing];
  if (Number.isFinite(min) && Number.isFinite(max)) return [(min + max) / 2, Math.min(swing, (max - min) / 4)];
  return Number.isFinite(min) ? [Math.max(usual, min + swing), swing] : [Math.min(usual, max - swing), swing];
}

function text(point: Point, seed: string): string {
  if (/serial/.test(point.id)) return String(Math.floor(hash(seed) * 90_000_000) + 10_000_000);
  return /version|firmware/.test(point.id) ? '1.0' : 'simulated';
}

const step = (seconds: number, dwell: number, chance: number): number => Math.floor(seconds / dwell + chance);

/** FNV-1a, as a number from 0 to below 1. */
function hash(words: string): number {
  let sum = 0x811c9dc5;
  for (let at = 0; at < words.length; at += 1) sum = Math.imul(sum ^ words.charCodeAt(at), 0x01000193);
  sum = Math.imul(sum ^ (sum >>> 15), 0x2c1b3c6d);
  return ((sum ^ (sum >>> 13)) >>> 0) / 2 ** 32;
}
