/** Counts at the receiving end by the ids of events: what arrived, what is missing, twice, or in the wrong order. */

/** What the count came to. Numbers of events. */
export interface Count {
  readonly sent: number;
  readonly received: number;
  readonly lost: number;
  readonly duplicates: number;
  readonly outOfOrder: number;
}

/** Takes messages as they arrive. */
export interface Tally {
  take(message: { readonly id: string; readonly late?: boolean; readonly event?: string }): void;
  /** Compares what arrived with the events 1 to `sent` of each id's sequence. */
  count(sent: number): Count;
}

/**
 * Starts at zero, for one gateway from its first event on. News of devices, live events and late ones (from the backlog) keep their own
 * order each: news goes first, then live data, and the backlog follows.
 */
export function startTally(): Tally {
  const seen = new Map<number, number>();
  const last = { news: 0, live: 0, late: 0 };
  const misplaced: number[] = [];
  return {
    take({ id, late = false, event }) {
      const sequence = Number(id.slice(id.lastIndexOf(':') + 1));
      const times = seen.get(sequence) ?? 0;
      seen.set(sequence, times + 1);
      // A repetition is a duplicate, wherever it stands: at-least-once allows it.
      if (times > 0) return;
      const lane = event ? 'news' : late ? 'late' : 'live';
      if (sequence < last[lane]) misplaced.push(sequence);
      else last[lane] = sequence;
    },
    count(sent) {
      const within = [...seen].filter(([sequence]) => sequence >= 1 && sequence <= sent);
      return {
        sent,
        received: within.length,
        lost: sent - within.length,
        duplicates: within.reduce((sum, [, times]) => sum + times - 1, 0),
        outOfOrder: misplaced.filter((sequence) => sequence <= sent).length,
      };
    },
  };
}

/** The count in one line. */
export function countLine({ sent, received, lost, duplicates, outOfOrder }: Count): string {
  return `sent ${sent} · received ${received} · lost ${lost} · duplicates ${duplicates} · out of order ${outOfOrder}`;
}
