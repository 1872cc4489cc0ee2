/** How much of a wire's time its schedule takes, as planned before anything was read. */
import type { ReadConfig } from '../config/load.js';
import type { Wires } from '../devices/wiring.js';
import type { Driver } from '../driver.js';
import type { TidegateError } from '../errors.js';
import type { Device } from '../model.js';
import type { DueSet } from './due-set.js';
import { Schedule } from './schedule.js';

/** A wire that is busy for more of its time (1 is all of it) has no room for what goes wrong. */
export const FULL_WIRE = 0.8;

/** Reads after which a schedule is taken to repeat itself. */
const MOST_READS = 1_000;

/**
 * The share of the wire's time (1 is all of it) that reading a device as often as its points ask for takes.
 * @returns undefined where the driver cannot tell
 */
export function plannedShare(driver: Driver, settings: unknown, device: Device): number | undefined {
  if (!driver.cost) return undefined;
  const schedule = new Schedule(device.points, 0, 0);
  const costs = new Map<DueSet, number>();
  const slowest = Math.max(0, ...device.points.map(({ every }) => every));
  const start = schedule.next;
  let busy = 0;
  for (let reads = 0; reads < MOST_READS && schedule.next < start + slowest; reads += 1) {
    const due = schedule.take(schedule.next);
    if (!due) return 0;
    let cost = costs.get(due.set);
    if (cost === undefined) {
      cost = driver.cost(settings, device, due.set.points);
      costs.set(due.set, cost);
    }
    busy += cost;
  }
  return schedule.next > start ? busy / (schedule.next - start) : 0;
}

/** Wires that are asked for more than they can well carry. */
export function findBusyWires({ source }: ReadConfig, wires: Wires, devices: readonly Device[]): TidegateError[] {
  return [...wires.drivers].flatMap(([id, driver]) => {
    const shares = devices
      .filter(({ connection }) => connection === id)
      .map((device) => ({ device: device.id, share: plannedShare(driver, wires.settings.get(id), device) ?? 0 }))
      .sort((a, b) => b.share - a.share);
    const total = shares.reduce((sum, { share }) => sum + share, 0);
    const [most] = shares;
    if (total <= FULL_WIRE || !most) return [];
    const message = `reading all devices of "${id}" takes ${percent(total)} of its time`;
    const share = shares.length > 1 ? `; ${most.device} alone takes ${percent(most.share)}` : '';
    const hint = `poll less often (every), raise its speed (baud), or use another wire for some devices${share}`;
    return [source.problem('WIRE_LOAD', ['connections', id], message, { hint, key: true })];
  });
}

const percent = (share: number): string => `${Math.round(share * 100)} %`;
