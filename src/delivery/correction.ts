/** Times taken before the clock was set, made right. */
import type { Event } from '../model.js';

/** The event with `correction` milliseconds added to its times, and without the mark; one that has no mark is given back as it is. */
export function corrected(event: Event, correction: number): Event {
  if (!event.clock) return event;
  const { clock: _, ...rest } = event;
  const at = event.at + correction;
  if (rest.kind === 'telemetry') return { ...rest, at };
  return { ...rest, at, from: rest.from + correction, to: rest.to + correction };
}
