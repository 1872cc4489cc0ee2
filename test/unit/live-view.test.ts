import { describe, expect, test } from 'vitest';
import { renderView } from '../../src/cli/live-view.js';
import { accountOf, noTotals } from '../../src/delivery/counters.js';
import type { DeviceSnapshot, PointSnapshot, Snapshot, UpstreamStatus } from '../../src/snapshot.js';

const NOW = 1_764_312_000_000;

const point = (id: string, more: Partial<PointSnapshot> = {}): PointSnapshot => ({
  id,
  value: 230.15,
  unit: 'V',
  quality: 'good',
  at: NOW,
  ...more,
});

const device = (id: string, points: PointSnapshot[], more: Partial<DeviceSnapshot> = {}): DeviceSnapshot => ({
  id,
  profile: 'acme/press',
  connection: 'plc',
  state: 'online',
  points,
  ...more,
});

const upstream = (more: Partial<UpstreamStatus> = {}): UpstreamStatus => ({
  id: 'cloud',
  link: 'online',
  waiting: { alarm: 0, live: 0, backlog: 0 },
  inFlight: 0,
  bytesOnDisk: 0,
  accepted: 10,
  acknowledged: 10,
  dropped: 0,
  rejected: 0,
  rate: 5,
  accounts: { alarm: accountOf(noTotals(), 0), live: accountOf(noTotals(), 0) },
  ...more,
});

const snapshot = (devices: DeviceSnapshot[], upstreams = [upstream()]): Snapshot => ({
  gateway: 'plant-7',
  at: NOW,
  clock: 'set',
  uptime: 90_000,
  readingsPerSecond: 1234.4,
  polls: { polls: 100, pushes: 0, readings: 1_000, overruns: 0, failures: 0, reconnects: 0, attempts: 1 },
  connections: [],
  devices,
  upstreams,
  orphans: [],
  expiring: [],
});

const draw = (shown: Snapshot, columns = 80, rows = 24) => renderView(shown, { columns, rows, color: false });
const many = (count: number) => Array.from({ length: count }, (_, i) => i);

describe('what is shown', () => {
  test('the local broker, and what it refused', () => {
    const broker = { listening: ['127.0.0.1:1883'], clients: 2, retained: 1_234, refused: {} };
    const line = (shown: Partial<typeof broker>) =>
      draw({ ...snapshot([]), broker: { ...broker, ...shown } }, 120).at(-1);
    expect(line({})).toMatch(/^⇄ local broker 127\.0\.0\.1:1883 {2}2 clients, 1.?234 topics$/);
    expect(line({ clients: 1, refused: { slow: 3, write: 1 } })).toMatch(/1 client, .* {2}refused: 3 slow, 1 write$/);
    expect(draw(snapshot([])).join()).not.toContain('broker');
  });

  test('certificates that end soon, with where they were met', () => {
    const known = { fingerprint: '', sha1: '', from: '2026-01-01', until: '2027-03-01', hosts: [], authority: false };
    const ends = 'expires on 2027-03-01, in 12 days';
    const expiring: Snapshot['expiring'] = [
      { ...known, state: 'trusted', subject: 'Press 7', met: ['press at opc.tcp://10.0.0.9:4840'], ends },
      { ...known, state: 'own', subject: 'Tidegate plant-7', met: [], ends },
    ];
    expect(draw({ ...snapshot([]), expiring }, 120).slice(-2)).toEqual([
      `⚠ the certificate of Press 7, press at opc.tcp://10.0.0.9:4840 ${ends}`,
      `⚠ our own certificate Tidegate plant-7 ${ends}`,
    ]);
  });

  test('a clock that is not set is named', () => {
    expect(draw({ ...snapshot([]), clock: 'unset' })[0]).toMatch(/^plant-7 {2}clock not set {2}/);
    expect(draw(snapshot([]))[0]).not.toContain('clock');
  });

  test('how busy the wires are, the busiest first', () => {
    const connections = [
      { id: 'plc', load: 0.0421, planned: 0.05 },
      { id: 'meters', load: 0.853, planned: 0.7 },
      { id: 'press', load: 0.12 },
    ];
    expect(draw({ ...snapshot([]), connections })[2]).toBe(
      '⇄ busy  meters 85 % (planned 70 %)  press 12 %  plc 4.2 % (planned 5 %)',
    );
    const [line] = renderView({ ...snapshot([]), connections }, { columns: 80, rows: 24, color: true }).slice(2);
    expect(line).toContain('\u001b[33m85 %');
  });

  test('gateway, links and devices with values, units and quality', () => {
    const points = [
      point('voltage'),
      point('temperature', { value: 21.5, unit: 'Cel' }),
      point('flow', { value: 3, unit: 'm3/h', quality: 'uncertain', reason: 'above 2' }),
      point('frequency', { value: null, unit: 'Hz', quality: 'bad', reason: 'timeout' }),
      point('energy', { value: 2n ** 60n, unit: 'W.h' }),
    ];
    expect(draw(snapshot([device('press-1', points)]), 60)).toEqual([
      'plant-7  1 of 1 devices online  1 234 readings/s  100 polls…',
      '→ cloud online  outbox 0 waiting  10 acknowledged, 5 readin…',
      '',
      '● press-1  acme/press  online  1 of 5 points bad',
      expect.stringMatching(/^ {2}voltage +230\.15 V *$/),
      expect.stringMatching(/^ {2}temperature +21\.5 °C *$/),
      expect.stringMatching(/^ {2}flow +3 m³\/h \(above 2\) *$/),
      expect.stringMatching(/^ {2}frequency +timeout *$/),
      expect.stringMatching(/^ {2}energy +1152921504606846976 Wh *$/),
    ]);
  });

  test('an outbox that fills: how much, since when, how large, and why', () => {
    const filling = upstream({
      link: 'offline',
      reason: 'connect ECONNREFUSED',
      waiting: { alarm: 1, live: 20, backlog: 12_000 },
      oldest: NOW - 45_000,
      bytesOnDisk: 1_500_000,
      rate: 0,
      drainedIn: 300,
      hoursLeft: 26,
      dropped: 7,
    });
    expect(draw(snapshot([], [filling]), 200)[1]).toBe(
      '→ cloud offline  outbox 12 021 waiting, oldest 45 s, 1.5 MB on disk  10 acknowledged, 0 readings/s  drained in 5 min  room for 26 h  7 removed  connect ECONNREFUSED',
    );
  });

  test('text from outside cannot move the cursor', () => {
    const evil = device('press-1', [point('name', { value: '\u001b[2J', unit: undefined })], { reason: 'a\nb' });
    const text = draw(snapshot([evil])).join('');
    expect(text).not.toContain('\u001b');
    expect(text).not.toContain('\n');
    expect(text).toContain('a·b');
  });

  test('colours only when asked for', () => {
    const shown = snapshot([device('press-1', [point('voltage')])]);
    const colored = renderView(shown, { columns: 80, rows: 24, color: true }).join('\n');
    expect(colored).toContain('\u001b[32monline\u001b[0m');
    // biome-ignore lint/suspicious/noControlCharactersInRegex: colours are control sequences
    expect(colored.replace(/\u001b\[\d+m/g, '')).toBe(draw(shown).join('\n'));
  });
});

describe('room', () => {
  const sizes = [1, 2, 3, 5, 10, 24, 60].flatMap((rows) => [1, 10, 40, 80, 200].map((columns) => [columns, rows]));

  test.each(sizes)('never more than %i columns and %i rows', (columns, rows) => {
    const crowd = many(30).map((i) =>
      device(
        `device-${i}`,
        many(40).map((n) => point(`point_with_a_long_name_${n}`)),
      ),
    );
    for (const shown of [snapshot([]), snapshot(crowd.slice(0, 2)), snapshot(crowd)]) {
      const lines = draw(shown, columns, rows);
      expect(lines.length).toBeLessThanOrEqual(rows);
      for (const line of lines) expect([...line].length).toBeLessThanOrEqual(columns);
    }
  });

  test('points that do not fit are counted', () => {
    const lines = draw(
      snapshot([
        device(
          'press-1',
          many(30).map((n) => point(`p${n}`)),
        ),
      ]),
      45,
      10,
    );
    expect(lines).toHaveLength(10);
    expect(lines.at(-1)).toBe('  … 25 more');
  });

  test('with many devices there is one line each, and the rest is counted', () => {
    const crowd = many(30).map((i) => device(`device-${i}`, [point('a')]));
    const lines = draw(snapshot(crowd), 80, 15);
    expect(lines.filter((line) => line.startsWith('●'))).toHaveLength(11);
    expect(lines.at(-1)).toBe('… 19 more devices');
  });

  test('a wide terminal shows points side by side', () => {
    const points = many(6).map((n) => point(`p${n}`));
    expect(draw(snapshot([device('press-1', points)]), 130).filter((line) => line.includes('p'))).toContainEqual(
      expect.stringMatching(/p3 .*p4 .*p5 /),
    );
  });

  test('a device with few points leaves its room to the others', () => {
    const large = device(
      'large',
      many(12).map((n) => point(`p${n}`)),
    );
    const lines = draw(snapshot([large, device('small', [point('only')])]), 45, 18);
    expect(lines.join('\n')).not.toContain('more');
  });
});
