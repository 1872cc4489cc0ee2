/**
 * An outage without a field and a cloud: what meters read goes into an outbox file as the store's worker writes it, a commit for each second,
 * but as fast as it goes.
 */

import { deflated } from '../../src/delivery/body.js';
import type { Limits } from '../../src/delivery/budget.js';
import type { NewSegment } from '../../src/delivery/commit.js';
import { encodeSegment } from '../../src/delivery/segment.js';
import { SegmentFile } from '../../src/delivery/segment-file.js';
import type { TelemetryEvent } from '../../src/model.js';
import { answer } from '../peer.js';
import { usageOf } from '../usage.js';
import { meter, POINTS } from './meter.js';

/** What waits, and for how long. */
export interface OutageLoad {
  readonly path: string;
  /** Meters of 30 points, each read once a second. */
  readonly meters: number;
  /** Seconds of a commit each. */
  readonly seconds: number;
  /** Readings to have in the file before, in larger commits; `full`: as many as fit without thinning. */
  readonly before?: number | 'full';
  /** Most bytes of the file. */
  readonly size?: number;
}

/** What it took, `before` left out; in bytes and milliseconds. */
export interface OutageFigures {
  readonly readings: number;
  readonly seconds: number;
  /** Bytes of the segments, as committed; bytes that the file has in use for all that it holds, readings; bytes written to disk. */
  readonly committed: number;
  readonly inUse: number;
  readonly held: number;
  readonly written: number;
  readonly spent: number;
  readonly segments: number;
  readonly slices: readonly number[];
  readonly commits: readonly number[];
  /** Events that had to go whole because thinning did not keep up. */
  readonly dropped: number;
}

/** Seconds of readings that are drawn, and then come round again: farther apart than deflate looks back. */
const DRAWN = 60;
/** Seconds in one of the larger commits. */
const GROUP = 20;
/** Rows that the main thread still holds in memory: 10 s of them. */
const HELD = 10;
const START = 1_764_000_000_000;

answer({
  outage: ({ path, meters, seconds, before = 0, size = 1e12 }: OutageLoad): OutageFigures => {
    const limits: Limits = {
      size,
      keepFree: 0,
      rejected: 0,
      whenFull: { alarm: 'drop-oldest', live: 'thin' },
    };
    const file = new SegmentFile(path, limits, { boot: 'bench', zero: 0 });
    const all = Array.from({ length: meters }, meter);
    const drawn = Array.from({ length: DRAWN }, () => all.map((read) => read()));
    let [second, seq] = [0, 0];
    const next = (): NewSegment => {
      const at = START + second * 1000;
      const values = drawn[second++ % DRAWN] as number[][];
      const entries = values.map((own, i) => {
        const device = `meter-${i}`;
        const topic = `tidegate/bench/${device}/telemetry`;
        const event: TelemetryEvent = {
          kind: 'telemetry',
          device,
          topic,
          lane: 'live',
          at,
          names: POINTS,
          values: own,
        };
        return { epoch: file.epoch, seq: ++seq, event };
      });
      const readings = meters * POINTS.length;
      const head = { epoch: file.epoch, firstSeq: seq - meters + 1, lastSeq: seq, events: meters, readings };
      const device = meters === 1 ? 'meter-0' : null;
      return { stream: 'live', ...head, from: at, to: at, kept: at, device, gap: null, text: encodeSegment(entries) };
    };
    const nothing = { after: 0, upTo: 0, settled: [] };
    const commit = (segments: NewSegment[]): number => {
      const live = { after: 0, upTo: Math.max(0, second - HELD), settled: [] };
      const settled = { alarm: {}, live: {} };
      const { removed } = file.commit({ segments, removable: { alarm: nothing, live }, settled, rejected: [] });
      return removed.reduce((sum, { cause, events }) => sum + (cause === 'budget' ? events : 0), 0);
    };
    while (before === 'full' ? file.room() > 0 : second * meters * POINTS.length < before) {
      commit(Array.from({ length: GROUP }, next));
      while (file.join());
    }

    const [slices, commits]: [number[], number[]] = [[], []];
    let [committed, dropped] = [0, 0];
    const timed = <Result>(times: number[], work: () => Result): Result => {
      const from = performance.now();
      const result = work();
      times.push(performance.now() - from);
      return result;
    };
    const from = usageOf(process.pid);
    for (let i = 0; i < seconds; i++) {
      const segment = next();
      committed += deflated(segment.text).length;
      dropped += timed(commits, () => commit([segment]));
      while (timed(slices, () => file.thin()));
      slices.pop();
      while (file.join());
    }
    const [inUse, { readings: held }] = [file.bytes(), file.extent('live')];
    file.close();
    const to = usageOf(process.pid);
    return {
      readings: seconds * meters * POINTS.length,
      seconds,
      committed,
      inUse,
      held,
      written: from && to ? to.written - from.written : Number.NaN,
      spent: from && to ? to.at - from.at : Number.NaN,
      segments: second,
      slices,
      commits,
      dropped,
    };
  },
});
