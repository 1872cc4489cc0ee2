/** Judges what a receiver got: what is lost, what gaps tell, what came twice, whether order held within each lane. */
import type { Received } from './broker.js';

/** A telemetry message whose point `n` is a number that occurs once, or a gap. */
interface Message {
  readonly id: string;
  readonly values: { readonly n: number };
  readonly late?: true;
  readonly gap?: Gap;
}

/** What a gap says. */
export interface Gap {
  readonly cause: string;
  readonly count: number;
}

/** What became of a stream of numbered events. */
export interface Verdict {
  /** Different events that arrived. */
  readonly arrived: number;
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

/** Compares what was received with the numbers that had to arrive. Topics that end in `alarm` are the alarm lane. */
export function judge(
  received: readonly Pick<Received, 'topic' | 'payload'>[],
  mustArrive: readonly number[],
): Verdict {
  const firsts = new Map<string, number>();
  const gaps = new Map<string, Gap>();
  const last = new Map<string, [epoch: number, seq: number]>();
  const outOfOrder: string[] = [];
  const reused: string[] = [];
  let duplicates = 0;
  for (const { topic, payload } of received) {
    const { id, values, late, gap } = JSON.parse(payload) as Message;
    if (gap) {
      gaps.set(id, gap);
      continue;
    }
    const known = firsts.get(id);
    if (known !== undefined) {
      duplicates++;
      if (known !== values.n) reused.push(id);
      continue;
    }
    firsts.set(id, values.n);
    const lane = topic.endsWith('alarm') ? 'alarm' : late ? 'backlog' : 'live';
    const [epoch = 0, seq = 0] = id.split(':').slice(-2).map(Number);
    const [lastEpoch, lastSeq] = last.get(lane) ?? [0, 0];
    if (epoch < lastEpoch || (epoch === lastEpoch && seq < lastSeq)) outOfOrder.push(`${lane} ${id}`);
    last.set(lane, [epoch, seq]);
  }
  const arrived = new Set(firsts.values());
  return {
    arrived: firsts.size,
    lost: mustArrive.filter((n) => !arrived.has(n)),
    gaps: [...gaps.values()],
    told: [...gaps.values()].reduce((sum, { count }) => sum + count, 0),
    duplicates,
    outOfOrder,
    reused,
  };
}
