/** Gaps: what stands in the order of events where some were removed. */
import type { Event, GapCause, GapEvent } from '../model.js';
import type { SegmentHead, StreamName } from './rows.js';

/** The gap that stands for a row: for all that was removed there. */
export function gapOf(head: SegmentHead, cause: GapCause, lane: StreamName, topic: string): GapEvent {
  const { from, to, events, kept, device } = head;
  const gap: GapEvent = {
    kind: 'gap',
    device: device ?? '',
    at: to,
    lane,
    topic,
    cause,
    ...(events > 0 && { count: events }),
    from,
    to,
  };
  return kept === null ? { ...gap, clock: 'unset' } : gap;
}

/** A gap that stands for another gap, if any, and one more event. It has a device when both are of the same one. */
export function merged(gap: GapEvent | undefined, event: Event, topic: string, cause: GapCause): GapEvent {
  const { from, to, count } = event.kind === 'gap' ? event : { from: event.at, to: event.at, count: 1 };
  return {
    kind: 'gap',
    device: (gap ?? event).device === event.device ? event.device : '',
    at: Math.max(gap?.to ?? to, to),
    lane: event.lane,
    topic,
    cause,
    ...(count !== undefined && (!gap || gap.count !== undefined) && { count: (gap?.count ?? 0) + count }),
    from: Math.min(gap?.from ?? from, from),
    to: Math.max(gap?.to ?? to, to),
    ...(event.clock && { clock: event.clock }),
  };
}
