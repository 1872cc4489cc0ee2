import { existsSync, openSync, readFileSync, renameSync, writeFileSync, writeSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { readEntries, readRegister } from '../../src/devices/journal.js';
import { openJournal } from '../../src/devices/journal-file.js';
import { apply, historyOf, type JournalEntry, merged, rebuild } from '../../src/devices/registration.js';
import { DEVICE_STATES } from '../../src/model.js';
import { Database } from '../../src/ops/sqlite.js';
import { random } from '../support/random.js';
import { temporaryFolder } from '../support/upstream.js';

/** What happens to some devices, at random: states with and without reasons, identities, new names. */
function happenings(seed: number, count: number): JournalEntry[] {
  const next = random(seed);
  const whole = (from: number, to: number): number => from + Math.floor(next() * (to - from + 1));
  const pick = <Item>(items: readonly Item[]): Item => items[whole(0, items.length - 1)] as Item;
  const names = ['a', 'b', 'c'];
  return Array.from({ length: count }, (_, at): JournalEntry => {
    const device = pick(names);
    const reason = whole(0, 1) ? { reason: pick(['timeout', 'cut']) } : {};
    switch (whole(0, 9)) {
      case 0:
        return { device, at, what: 'identified', set: { identity: { firmware: String(at) } } };
      case 1: {
        const now = `${device}${at}`;
        names[names.indexOf(device)] = now;
        return {
          device: now,
          was: device,
          at,
          what: 'approved',
          set: { profile: `p${at}`, state: 'offline', ...reason },
        };
      }
      case 2:
        return {
          device,
          at,
          what: 'added',
          set: { connection: 'bus', settings: { unit: at }, tags: { t: device }, state: 'offline' },
        };
      default:
        return { device, at, what: 'state', set: { state: pick(DEVICE_STATES), ...reason } };
    }
  });
}

describe('a register', () => {
  test.each([1, 2, 3, 4, 5])('rebuilt from its journal is the one that lived (seed %i)', (seed) => {
    const folder = temporaryFolder();
    const { file } = openJournal(folder);
    const lived = new Map();
    const entries = happenings(seed, 300);
    while (entries.length > 0) {
      const some = entries.splice(0, 7);
      for (const entry of some) apply(lived, entry);
      file.append(some);
    }
    file.close();
    expect(openJournal(folder).registrations).toEqual(lived);
  });

  test.each([1, 2, 3, 4, 5])('is the same from fewer entries: of states in a row the last one (seed %i)', (seed) => {
    const entries = happenings(seed, 300);
    const fewer = merged(entries);
    expect(fewer.length).toBeLessThan(entries.length);
    expect(sorted(rebuild(fewer))).toEqual(sorted(rebuild(entries)));
    expect(fewer.reduce((sum, { changes = 1 }) => sum + changes, 0)).toBe(entries.length);
  });

  test('has no more entries for what comes again and again than there are devices', () => {
    const entries = happenings(7, 3_000).filter(({ what }) => what === 'state' || what === 'identified');
    expect(entries.length).toBeGreaterThan(2_000);
    const names = new Set(entries.map(({ device }) => device));
    expect(merged(entries).length).toBeLessThanOrEqual(2 * names.size);
  });

  test('keeps what was decided when a device that changes on and on has filled the journal', async () => {
    const folder = temporaryFolder();
    const { file } = openJournal(folder, 100);
    const set = { connection: 'bus', state: 'offline' } as const;
    file.append([{ device: 'a', at: 1, what: 'added', set }]);
    file.append([{ device: 'b', at: 2, what: 'added', set }]);
    for (let at = 3; at < 1_000; at++)
      file.append([{ device: 'b', at, what: 'state', set: { state: at % 2 ? 'online' : 'offline' } }]);
    file.close();
    const kept = await readEntries(folder);
    expect(kept.length).toBeLessThanOrEqual(101);
    expect(historyOf(kept, 'a').map(({ what }) => what)).toEqual(['added']);
    expect(historyOf(kept, 'b')[0]).toMatchObject({ what: 'added', at: 2 });
    expect(historyOf(kept, 'b').reduce((sum, { changes = 1 }) => sum + changes, 0)).toBe(998);
  });

  test.each([1, 2, 3])('is the same when old entries have given way to summaries (seed %i)', async (seed) => {
    const folder = temporaryFolder();
    const { file } = openJournal(folder, 100);
    const entries = happenings(seed, 1_000);
    const lived = rebuild(entries);
    while (entries.length > 0) file.append(entries.splice(0, 9));
    file.close();
    const kept = await readEntries(folder);
    expect(kept.length).toBeLessThanOrEqual(100 + 9);
    expect(kept[0]?.what).toBe('summary');
    expect(sorted(rebuild(kept))).toEqual(sorted(lived));
  });
});

test('a history has what happened under former names', () => {
  const entries: JournalEntry[] = [
    { device: 'plug-3', at: 1, what: 'found', set: { state: 'pending' } },
    { device: 'other', at: 2, what: 'found', set: { state: 'pending' } },
    { device: 'hall', was: 'plug-3', at: 3, what: 'approved', set: { state: 'offline' } },
    { device: 'plug-3', at: 4, what: 'found', set: { state: 'pending' } },
    { device: 'hall', at: 5, what: 'state', set: { state: 'online' } },
  ];
  expect(historyOf(entries, 'hall').map(({ at }) => at)).toEqual([1, 3, 5]);
  expect(historyOf(entries, 'plug-3').map(({ at }) => at)).toEqual([1, 4]);
});

describe('a journal on disk', () => {
  const named = (id: string): JournalEntry => ({
    device: id,
    at: 1,
    what: 'added',
    set: { connection: 'bus', state: 'offline' },
  });

  test('of ten thousand entries is read', async () => {
    const folder = temporaryFolder();
    const { file } = openJournal(folder);
    file.append(happenings(7, 10_000));
    file.close();
    expect(await readRegister(folder)).toEqual(rebuild(happenings(7, 10_000)));
  });

  test('that is not there is empty, and reading does not make it', async () => {
    const folder = temporaryFolder();
    expect(await readRegister(folder)).toEqual(new Map());
    expect(await readEntries(folder)).toEqual([]);
  });

  test('that is damaged is moved aside; all that can be read goes on', async () => {
    const folder = temporaryFolder();
    const { file } = openJournal(folder);
    for (let n = 0; n < 300; n++) file.append([named(`meter-${n}`)]);
    file.close();
    damage(folder, 12);
    const readable = await readRegister(folder);
    const { registrations, movedTo } = openJournal(folder);
    expect(movedTo).toBe(`${folder}/register.sqlite.damaged-1`);
    expect([registrations.has('meter-0'), registrations.has('meter-299')]).toEqual([true, true]);
    expect(registrations.size).toBeLessThan(300);
    expect(registrations.size).toBeGreaterThan(200);
    expect(readable).toEqual(registrations);
    expect(openJournal(folder)).toEqual({ file: expect.anything(), registrations });
  });

  test('that turns out to be damaged while it is written to is replaced, and nothing that comes then is lost', () => {
    const folder = temporaryFolder();
    const { file } = openJournal(folder, 5_000);
    for (let n = 0; n < 4_000; n += 10) file.append(Array.from({ length: 10 }, (_, k) => named(`meter-${n + k}`)));
    damage(folder, 12);
    let movedTo: string | undefined;
    let last = 4_000;
    while (movedTo === undefined && last < 6_000) movedTo = file.append([named(`meter-${last++}`)]);
    expect(movedTo).toBe(`${folder}/register.sqlite.damaged-1`);
    file.append([named('another')]);
    file.close();
    const { registrations, ...told } = openJournal(folder);
    expect(told).toEqual({ file: expect.anything() });
    expect([registrations.has(`meter-${last - 1}`), registrations.has('another')]).toEqual([true, true]);
    expect(registrations.size).toBeGreaterThan(3_900);
  });

  test.each([
    ['before the damaged one was touched', []],
    ['when part of the damaged one was aside', ['-wal', '-shm']],
    ['when all of it was', ['-wal', '-shm', '']],
  ])('that a power cut left half exchanged, %s, is the fresh one', async (_, moved) => {
    const folder = temporaryFolder();
    const { file } = openJournal(folder);
    file.append([named('lost')]);
    // As a process that dies leaves them: what was written last is only in the log.
    const path = `${folder}/register.sqlite`;
    const left = ['', '-wal', '-shm'].map((suffix) => [suffix, readFileSync(path + suffix)] as const);
    file.close();
    for (const [suffix, bytes] of left) writeFileSync(path + suffix, bytes);
    const other = temporaryFolder();
    const fresh = openJournal(other).file;
    fresh.append([named('kept')]);
    fresh.close();
    renameSync(`${other}/register.sqlite`, `${path}.fresh`);
    for (const suffix of moved) renameSync(path + suffix, `${path}.damaged-1${suffix}`);
    expect([...(await readRegister(folder)).keys()]).toEqual(['kept']);
    const { registrations } = openJournal(folder);
    expect([...registrations.keys()]).toEqual(['kept']);
    expect(existsSync(`${path}.damaged-1`)).toBe(true);
  });

  test('that is no database is moved aside', () => {
    const folder = temporaryFolder();
    writeSync(
      openSync(`${folder}/register.sqlite`, 'w'),
      'no database at all, and longer than a head of one would be '.repeat(20),
    );
    expect(openJournal(folder)).toEqual({
      file: expect.anything(),
      registrations: new Map(),
      movedTo: `${folder}/register.sqlite.damaged-1`,
    });
  });

  test('of a newer Tidegate is refused, and not touched', async () => {
    const folder = temporaryFolder();
    const db = new Database(`${folder}/register.sqlite`);
    db.pragma('user_version = 1000');
    db.close();
    expect(() => openJournal(folder)).toThrow(/written by a newer Tidegate \(format 1000/);
    await expect(readRegister(folder)).rejects.toMatchObject({ code: 'REGISTER_STORE' });
  });
});

/** Overwrites a page: behind the first ones they are leaves. */
function damage(folder: string, page: number): void {
  const size = 1024;
  writeSync(openSync(`${folder}/register.sqlite`, 'r+'), Buffer.alloc(size, 0xff), 0, size, page * size);
}

function sorted<Value>(map: ReadonlyMap<string, Value>): [string, Value][] {
  return [...map].sort(([a], [b]) => (a < b ? -1 : 1));
}
