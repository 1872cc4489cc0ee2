/**
 * `kill -9` in the midst of the salvage of a damaged outbox file: as its successor is made, as they change places, and as its rows are carried over,
 * several times in a row, and damaged anew before it is done. KILLS sets how often, SEED at which call.
 */
import { closeSync, existsSync, mkdirSync, openSync, readdirSync, statSync, writeSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { limitsOf } from '../../src/delivery/budget.js';
import { readLegs } from '../../src/delivery/legs.js';
import { readEvents } from '../../src/delivery/reader.js';
import { SegmentFile } from '../../src/delivery/segment-file.js';
import { Database } from '../../src/ops/sqlite.js';
import { setClock } from '../support/clock.js';
import { upstreamConfig } from '../support/upstream.js';
import { Scene, times } from './scene.js';
import { STRICT, Strikes, telling, WINDOW } from './strikes.js';
import { killer, noTracer } from './tracer.js';

const KILLS = times('KILLS', 5);
/** So many events are drained before there are more: at the end all has to arrive in time. */
const ENOUGH = 20_000;
const SALVAGE = telling('salvage-told');
const CALLS = { writes: 'pwrite64', syncs: '/^f(data)?sync$', renames: '/^rename' };

const why = noTracer();

describe.skipIf(why)(`kill -9${why ? `: ${why}` : ''}`, { timeout: 90_000 + KILLS * 20_000 }, () => {
  test('in salvage: what can be read arrives, and gaps tell of exactly the rest', async () => {
    const scene = await Scene.set();
    const strikes = new Strikes(scene);
    const outbox = new DamagedOutbox(`${scene.folder}/outbox`);
    const { file } = outbox;
    const load = { noise: 50, buffer: { ...STRICT, size: '256MB' } };
    const kept = new Set<number>();
    while (strikes.inside < KILLS) {
      if (outbox.isWhole && (outbox.damageable === undefined || (await scene.backlog()) > ENOUGH)) await scene.drain();
      await scene.brokerIs(false);
      if (outbox.isWhole || (scene.draw() < 0.1 && outbox.damageable)) {
        do await strikes.live(4_000, { ...load, buffer: { ...WINDOW, size: '256MB' } });
        while (outbox.isWhole && statSync(file).size < 1_500_000);
        outbox.startAndStop();
        for (const n of await outbox.numbers()) kept.add(n);
        outbox.damage();
      }
      const moment = scene.draw();
      if (outbox.isInPlace && moment < 0.3)
        await strikes.strike(load, killer(CALLS.writes, scene.upTo(20), `${file}.fresh`, `${file}.fresh-wal`));
      else if (outbox.isInPlace && moment < 0.5)
        await strikes.strike(load, killer(CALLS.renames, scene.upTo(2), file, `${file}.fresh`));
      else {
        const how = moment < 0.9 ? ([CALLS.writes, scene.upTo(300)] as const) : ([CALLS.syncs, scene.upTo(6)] as const);
        await strikes.strike(load, [...killer(...how, `${file}-wal`), ...SALVAGE], 'carries');
      }
    }
    const mustArrive = [...new Set([...scene.mustArrive, ...kept])];
    const { gaps } = await scene.check('kill -9 in salvage', mustArrive);
    expect(gaps.length).toBeGreaterThan(0);
    expect(new Set(gaps.map(({ cause }) => cause))).toEqual(new Set(['unreadable']));
  });
});

/** An outbox file that is damaged again and again. */
class DamagedOutbox {
  readonly file: string;
  #damages = 0;

  constructor(private readonly folder: string) {
    mkdirSync(folder, { recursive: true });
    this.file = `${folder}/cloud.sqlite`;
  }

  /** True while the file that was damaged is still in its place. */
  get isInPlace(): boolean {
    const moved = readdirSync(this.folder).filter((name) => /\.damaged-\d+$/.test(name));
    return moved.length < this.#damages;
  }

  /** True when nothing is to be salvaged, or there is no file yet. */
  get isWhole(): boolean {
    return !this.isInPlace && (!existsSync(this.file) || this.#ask(readLegs).length === 0);
  }

  /** All that it holds. */
  async numbers(): Promise<number[]> {
    const numbers: number[] = [];
    for await (const { entry } of readEvents(this.file, ['alarm', 'live'], 'gap'))
      if (entry.event.kind === 'telemetry') numbers.push(entry.event.values[0] as number);
    return numbers;
  }

  /** The end of its order at which no gap stands that tells of an earlier damage; every start looks at both ends. */
  get damageable(): 'ASC' | 'DESC' | undefined {
    if (!existsSync(this.file)) return 'ASC';
    if (this.isInPlace) return undefined;
    return this.#ask((db) =>
      (['ASC', 'DESC'] as const).find(
        (order) =>
          !db.prepare(`SELECT max(gap) FROM (SELECT gap FROM live ORDER BY id ${order} LIMIT 40)`).pluck().get(),
      ),
    );
  }

  /** After a start the file says how much it holds, so that a loss can be told to the event. */
  startAndStop(): void {
    const limits = limitsOf(upstreamConfig('mqtt://127.0.0.1').buffer);
    new SegmentFile(this.file, limits, setClock.base).close();
  }

  /** Spoils the page that holds the first rows, or the last, unless gaps of an earlier damage have come to stand at both ends. */
  damage(): void {
    const end = this.damageable;
    if (end === undefined) return;
    const page = this.#ask((db) => {
      // All of it into the file itself, whose pages are known by number.
      db.pragma('wal_checkpoint(TRUNCATE)');
      const last = `FROM dbstat WHERE name = 'live' AND pagetype = 'leaf' ORDER BY path ${end} LIMIT 1`;
      return db.prepare<[], { number: number; size: number }>(`SELECT pageno AS number, pgsize AS size ${last}`).get();
    });
    if (!page) throw new Error('an outbox with a backlog has a page of rows');
    const handle = openSync(this.file, 'r+');
    writeSync(handle, Buffer.alloc(page.size, 0xa5), 0, page.size, (page.number - 1) * page.size);
    closeSync(handle);
    this.#damages++;
  }

  #ask<Answer>(ask: (db: Database) => Answer): Answer {
    const db = new Database(this.file);
    try {
      return ask(db);
    } finally {
      db.close();
    }
  }
}
