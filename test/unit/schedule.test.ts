import { describe, expect, test } from 'vitest';
import { Schedule } from '../../src/polling/schedule.js';
import { device } from '../support/scripted-wire.js';

const meter = device('meter', {
  power: { every: 1000 },
  energy: { every: 10_000 },
  current: { every: 1000, scaleFrom: 'current_sf' },
  current_sf: { every: 60_000, kind: 'scale' },
  reset: { every: 1000, access: 'write' },
});

function ids(points: readonly { id: string }[] | undefined): string[] | undefined {
  return points?.map(({ id }) => id);
}

describe('the schedule of a device', () => {
  test('joins what falls together, with the scale factors needed, and leaves write-only points out', () => {
    const schedule = new Schedule(meter.points, 0, 0);
    expect(ids(schedule.take(0)?.set.points)).toEqual(['power', 'energy', 'current', 'current_sf']);
    expect(schedule.take(10)).toBeUndefined();
    expect(ids(schedule.take(1000)?.set.points)).toEqual(['power', 'current', 'current_sf']);
    expect(ids(schedule.all?.scaling.points)).toEqual(['power', 'energy', 'current']);
  });

  test('gives the same arrays whenever the same points are due', () => {
    const schedule = new Schedule(meter.points, 0, 0);
    const first = schedule.take(0)?.set;
    const second = schedule.take(1000)?.set;
    expect(schedule.take(2000)?.set).toBe(second);
    for (let now = 3000; now < 10_000; now += 1000) expect(schedule.take(now)?.set.points).toBe(second?.points);
    expect(schedule.take(10_000)?.set).toBe(first);
    expect(schedule.all).toBe(first);
    expect(second?.without([0])).toBe(second?.without([0]));
  });

  test('keeps its times when a slot runs late, and counts what passed completely', () => {
    const schedule = new Schedule([...meter.points].slice(0, 1), 0, 0);
    expect(schedule.take(0)?.missed).toBe(0);
    expect(schedule.take(1999)?.missed).toBe(0);
    expect(schedule.next).toBe(2000);
    expect(schedule.take(5500)?.missed).toBe(3);
    expect(schedule.next).toBe(6000);
    schedule.skip(9000);
    expect(schedule.next).toBe(10_000);
  });

  test('does not drift over a year', () => {
    const schedule = new Schedule(device('d', { p: { every: 333 } }).points, 7, 1 / 3);
    const first = schedule.next;
    let slots = 0;
    for (let now = first; now < 3.15e10; now = schedule.next + 5e6) {
      slots += 1 + (schedule.take(now)?.missed ?? 0);
      expect(schedule.next).toBe(first + slots * 333);
    }
  });

  test('spreads devices over their interval, and slow points over the slots of fast ones', () => {
    const phases = [0, 0.25, 0.5, 0.75];
    const points = device('d', { fast: { every: 1000 }, slow: { every: 8000 } }).points;
    const full = phases.map((phase) => {
      const schedule = new Schedule(points, 0, phase);
      const seen: number[] = [];
      for (let at = schedule.next; at < 8000; at = schedule.next) {
        if (schedule.take(at)?.set.points.length === 2) seen.push(at);
      }
      return seen;
    });
    expect(full).toEqual([[0], [2250], [4500], [6750]]);
  });

  test('of a device with nothing to read is never due', () => {
    const schedule = new Schedule(device('d', { reset: { access: 'write' } }).points, 0, 0);
    expect(schedule.next).toBe(Number.POSITIVE_INFINITY);
    expect(schedule.all).toBeUndefined();
    expect(schedule.probe()).toBeUndefined();
  });

  test('probes with one point, and takes turns', () => {
    const schedule = new Schedule(meter.points, 0, 0);
    const probes = [1, 2, 3].map(() => schedule.probe());
    expect(probes.map((probe) => probe?.points[0]?.id)).toEqual(['power', 'current', 'power']);
    expect(probes[2]).toBe(probes[0]);
  });
});
