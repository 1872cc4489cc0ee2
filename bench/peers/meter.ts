/** What a three-phase meter reads: 30 values that wander and carry noise, float32 as a Modbus driver gives them. */

const PHASES = ['l1', 'l2', 'l3'];
const PER_PHASE = ['voltage', 'current', 'active_power', 'apparent_power', 'reactive_power', 'power_factor'];
const TOTALS = ['frequency', 'active_power', 'apparent_power', 'reactive_power', 'power_factor'];
const OTHERS = ['voltage_l1_l2', 'voltage_l2_l3', 'voltage_l3_l1', 'neutral_current'];
const COUNTERS = ['import_energy', 'export_energy', 'total_energy'];

/** Its points. */
export const POINTS: readonly string[] = [
  ...PER_PHASE.flatMap((name) => PHASES.map((phase) => `${name}_${phase}`)),
  ...TOTALS,
  ...OTHERS,
  ...COUNTERS,
];

let seed = 12_345;

function uniform(): number {
  seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
  return seed / 2 ** 32;
}

/** Close to normal, with a deviation of one. */
function noise(): number {
  let sum = -3;
  for (let i = 0; i < 6; i++) sum += uniform();
  return sum * Math.SQRT2;
}

/** The shortest decimal that is the same float32. */
function float32(value: number): number {
  for (let digits = 6; digits < 9; digits++) {
    const short = Number(value.toPrecision(digits));
    if (Math.fround(short) === Math.fround(value)) return short;
  }
  return Number(value.toPrecision(9));
}

/** A meter; each call reads it, a second later. */
export function meter(): () => number[] {
  const volts = PHASES.map(() => 230);
  const amps = PHASES.map(() => 5 + 10 * uniform());
  const factors = PHASES.map(() => 0.95);
  let energy = uniform() * 1e5;
  const drift = (values: number[], to: number, stiffness: number, spread: number): void => {
    for (const [i, value] of values.entries()) values[i] = to + stiffness * (value - to) + spread * noise();
  };
  const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
  return () => {
    drift(volts, 230, 0.98, 0.3);
    drift(amps, 8, 0.99, 0.2);
    drift(factors, 0.95, 0.98, 0.003);
    const apparent = volts.map((v, i) => v * (amps[i] as number));
    const active = apparent.map((s, i) => s * Math.min(1, factors[i] as number));
    const reactive = apparent.map((s, i) => Math.sqrt(Math.max(0, s ** 2 - (active[i] as number) ** 2)));
    const [p, s, q] = [sum(active), sum(apparent), sum(reactive)];
    energy += p / 3.6e6;
    const chained = volts.map((v) => v * Math.sqrt(3) + 0.1 * noise());
    const total = [50 + 0.02 * noise(), p, s, q, p / s, ...chained, 0.3 + 0.05 * noise()];
    const counters = [energy, 12.34, energy + 12.34];
    return [...volts, ...amps, ...active, ...apparent, ...reactive, ...factors, ...total, ...counters].map(float32);
  };
}
