/** Judges what a receiver got: what is lost, what gaps tell, what came twice, whether order held within each lane. */
import type { Event } from '../../src/model.js';
import type { Received } from './broker.js';

/** A telemetry message, whose point `n` is a number that occurs once or is bad; news of a device; or a gap. */
interface Message {
  readonly id: string;
  readonly values?: { readonly n?: number };
  readonly late?: true;
  readonly gap?: Gap;
}

/** What a gap says. */
export interface Gap {
  readonly cause: string;
  /** Absent where nobody knows it. */
  readonly count?: number;
}

/** What became of a stream of numbered events. */
export interface Verdict {
  /** Different events that arrived, by the lane they were accepted in; `late`: read back from disk, at least the first time. */
  readonly arrived: Readonly<Record<Event['lane'], { readonly events: number; readonly late: number }>>;
  /** Numbers that had to arrive and did not. */
  readonly lost: number[];
  readonly gaps: Gap[];
  /** Events that gaps stand for. */
  readonly told: number;
  readonly duplicates: number;
  /** Ids that came after a later one of their lane. */
  readonly outOfOrder: string[];
  /** Ids that stood for two different events. */
  readonly reused: string[];
}

/** Compares what was received with the numbers that had to arrive. Topics that end in `alarm` are the alarm lane, and so is news of devices. */
export function judge(
  received: readonly Pick<Received, 'topic' | 'payload'>[],
  mustArrive: readonly number[],
): Verdict {
  const firsts = new Map<string, number | undefined>();
  const gaps = new Map<string, Gap>();
  const last = new Map<string, [epoch: number, seq: number]>();
  const outOfOrder: string[] = [];
  const reused: string[] = [];
  const arrived = { alarm: { events: 0, late: 0 }, live: { events: 0, late: 0 } };
  let duplicates = 0;
  for (const { topic, payload } of received) {
    const { id, values, late, gap } = JSON.parse(payload) as Message;
    if (gap) {
      gaps.set(id, gap);
      continue;
    }
    const n = values?.n;
    if (firsts.has(id)) {
      duplicates++;
      if (firsts.get(id) !== n) reused.push(id);
      continue;
    }
    firsts.set(id, n);
    const accepted = topic.endsWith('alarm') || !values ? 'alarm' : 'live';
    arrived[accepted].events++;
    if (late) arrived[accepted].late++;
    const lane = accepted === 'live' && late ? 'backlog' : accepted;
    const [epoch = 0, seq = 0] = id.split(':').slice(-2).map(Number);
    const [lastEpoch, lastSeq] = last.get(lane) ?? [0, 0];
    if (epoch < lastEpoch || (epoch === lastEpoch && seq < lastSeq)) outOfOrder.push(`${lane} ${id}`);
    last.set(lane, [epoch, seq]);
  }
  const numbers = new Set(firsts.values());
  return {
    arrived,
    lost: mustArrive.filter((n) => !numbers.has(n)),
    gaps: [...gaps.values()],
    told: [...gaps.values()].reduce((sum, { count = 0 }) => sum + count, 0),
    duplicates,
    outOfOrder,
    reused,
  };
}
