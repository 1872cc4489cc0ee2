/** A failure that goes on is said once, then counted, then said again at growing distance; its end is told once. */
import type { Logger } from 'pino';

/** Tells about one thing that fails again and again (a device, a link). */
export interface Repeated {
  /** Another failure. Only the first of its kind, and some later ones with their count, reach the log. */
  failed(message: string, fields?: object): void;
  /** It works again: told once, with how often and how long it failed. Nothing is told when nothing had failed. */
  over(message: string, fields?: object): void;
}

/** The first distance between two lines about the same failure, and the longest. Each is four times the one before. */
const FIRST = 60_000;
const LONGEST = 6 * 3_600_000;
/** How many different messages are told apart; what is beyond is counted with the oldest. */
const KINDS = 16;

interface Kind {
  times: number;
  next: number;
  distance: number;
}

/** Wraps a log for one repeated failure. Failures are warnings, their end is information. */
export function repeated(log: Logger): Repeated {
  const kinds = new Map<string, Kind>();
  let since = 0;
  let times = 0;
  return {
    failed(message, fields = {}) {
      const now = performance.now();
      if (times++ === 0) since = now;
      const kind = kinds.get(message) ?? (kinds.size >= KINDS ? kinds.values().next().value : undefined);
      if (kind === undefined) {
        kinds.set(message, { times: 1, next: now + FIRST, distance: FIRST });
        log.warn(fields, message);
        return;
      }
      kind.times++;
      if (now < kind.next) return;
      kind.distance = Math.min(kind.distance * 4, LONGEST);
      kind.next = now + kind.distance;
      log.warn({ ...fields, times: kind.times, for: spanText(now - since) }, message);
    },
    over(message, fields = {}) {
      if (times === 0) return;
      log.info({ ...fields, failures: times, after: spanText(performance.now() - since) }, message);
      kinds.clear();
      times = 0;
    },
  };
}

/** A span of time in one or two words: `450 ms`, `12 s`, `3 min`, `5 h`, `9 d`. */
export function spanText(milliseconds: number): string {
  if (milliseconds < 1_000) return `${Math.round(milliseconds)} ms`;
  if (milliseconds < 100_000) return `${Math.round(milliseconds / 1_000)} s`;
  if (milliseconds < 100 * 60_000) return `${Math.round(milliseconds / 60_000)} min`;
  if (milliseconds < 48 * 3_600_000) return `${Math.round(milliseconds / 3_600_000)} h`;
  return `${Math.round(milliseconds / 86_400_000)} d`;
}
