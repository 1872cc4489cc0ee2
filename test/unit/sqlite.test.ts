/** What `ops/sqlite.ts` adds to the library: statements that are prepared once. */
import Sqlite from 'better-sqlite3';
import { afterEach, describe, expect, test } from 'vitest';
import { Database } from '../../src/ops/sqlite.js';

const db = new Database(':memory:');
const plain = new Sqlite(':memory:');
afterEach(() => db.exec('DROP TABLE IF EXISTS t'));

describe('a connection', () => {
  test('prepares each text once', () => {
    expect(db.prepare('SELECT 1')).toBe(db.prepare('SELECT 1'));
    expect(db.prepare('SELECT 1')).not.toBe(db.prepare('SELECT 2'));
  });

  test.each([
    'user_version = 7',
    'user_version',
    'synchronous = FULL',
    'cache_size = -1024',
    'wal_autocheckpoint = 100',
    'max_page_count = 1000',
    'wal_checkpoint(TRUNCATE)',
  ])('answers PRAGMA %s as the library does', (source) => {
    const answer = plain.pragma(source);
    expect(db.pragma(source)).toEqual(answer);
    expect(db.pragma(source, { simple: true })).toEqual(plain.pragma(source, { simple: true }));
    expect(db.pragma(source)).toEqual(answer);
  });

  test('a statement goes on when its table changes', () => {
    db.exec('CREATE TABLE t (a)');
    const all = (): unknown => db.prepare('SELECT * FROM t').all();
    db.prepare('INSERT INTO t (a) VALUES (?)').run(1);
    expect(all()).toEqual([{ a: 1 }]);
    db.exec('ALTER TABLE t ADD COLUMN b');
    expect(all()).toEqual([{ a: 1, b: null }]);
    db.exec('DROP TABLE t');
    expect(all).toThrow('no such table: t');
    db.exec('CREATE TABLE t (a, c)');
    expect(all()).toEqual([]);
  });
});
