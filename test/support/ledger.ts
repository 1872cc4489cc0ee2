/** Judges what a receiver got: what is lost, what came twice, whether order held within each lane. */
import type { Received } from './broker.js';

/** A telemetry message whose point `n` is a number that occurs once. */
interface Message {
  readonly id: string;
  readonly values: { readonly n: number };
  readonly late?: true;
}

/** What became of a stream of numbered events. */
export interface Verdict {
  /** Numbers that had to arrive and did not. */
  readonly lost: number[];
  readonly duplicates: number;
  /** Ids that came after a later one of their lane. */
  readonly outOfOrder: string[];
  /** Ids that stood for two different events. */
  readonly reused: string[];
}

/** Compares what was received with the numbers that had to arrive. Topics that end in `alarm` are the alarm lane. */
export function judge(received: readonly Received[], mustArrive: readonly number[]): Verdict {
  const firsts = new Map<string, number>();
  const last = new Map<string, [epoch: number, seq: number]>();
  const outOfOrder: string[] = [];
  const reused: string[] = [];
  let duplicates = 0;
  for (const { topic, payload } of received) {
    const { id, values, late } = JSON.parse(payload) as Message;
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
  return { lost: mustArrive.filter((n) => !arrived.has(n)), duplicates, outOfOrder, reused };
}
