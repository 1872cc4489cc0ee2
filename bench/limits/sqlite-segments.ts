/** The limit of the disk: SQLite alone, one transaction for each ready-made blob of a segment's size. */
import { randomBytes } from 'node:crypto';
import Database from 'better-sqlite3';
import { answer } from '../peer.js';

/** What to write. */
export interface SegmentLoad {
  readonly path: string;
  /** Bytes of a segment, as deflated. */
  readonly size: number;
  /** Milliseconds to go on for. */
  readonly span: number;
}

answer({
  /** Gives how many segments were committed. */
  insert: ({ path, size, span }: SegmentLoad): number => {
    const db = new Database(path);
    db.pragma('journal_mode = WAL');
    db.pragma('synchronous = FULL');
    db.exec('CREATE TABLE IF NOT EXISTS segments (id INTEGER PRIMARY KEY, body BLOB)');
    const insert = db.prepare('INSERT INTO segments (body) VALUES (?)');
    const body = randomBytes(size);
    const end = performance.now() + span;
    let count = 0;
    while (performance.now() < end) {
      insert.run(body);
      count++;
    }
    db.close();
    return count;
  },
});
