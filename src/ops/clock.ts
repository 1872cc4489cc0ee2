/**
 * The wall clock, watched. A box without a battery clock starts in the past and is set by the network, minutes or days later.
 * Until then times are counted on from the start of the process, so that all of them are wrong by the same amount, and that
 * amount is known once the clock is set.
 */
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Logger } from 'pino';
import { messageOf } from '../errors.js';
import { spanText } from './repeated.js';
import { machine, type TimeSync } from './time-sync.js';

/** Where times are counted from: the zero of this boot's monotonic clock. */
export interface TimeBase {
  /** Names the boot: all processes of a boot share its monotonic clock. */
  readonly boot: string;
  /** Wall time at that zero, milliseconds since 1970: assumed until the clock is known, right from then on. */
  readonly zero: number;
}

/** The wall clock and what is known about it. Times are milliseconds since 1970. */
export interface Clock {
  /** True from the moment on that the wall clock is known to be set. */
  readonly known: boolean;
  readonly base: TimeBase;
  /** The wall time that belongs to a monotonic one (`performance.now()`), whatever steps the wall clock made since it was known. */
  timeOf(mono: number): number;
  /** The same of now: for age limits. While the clock is unknown, it counts on from the start of the process. */
  steadyNow(): number;
  /** Calls back once, when the clock becomes known; at once when it is. Gives what makes it forget the caller. */
  onKnown(callback: () => void): () => void;
  stop(): void;
}

/** How to watch. */
export interface ClockOptions {
  readonly log: Logger;
  /** A wall clock before this time is not believed, whoever vouches for it. */
  readonly notBefore: number;
  /** Who is asked. */
  readonly timeSync?: TimeSync;
}

const CHECK = 1_000;
/** A change of the wall clock against the monotonic one that counts as a step: somebody set it. Slewing stays far below. */
const STEP = 2_000;
/** Pauses between questions to the time service, which cost a process each. */
const ASK = { first: 2_000, longest: 60_000 };
/** Zero of the boot's monotonic clock, on the scale of `performance.now()`, whose own zero is the start of the process. */
const BOOT_ZERO = performance.now() - Number(process.hrtime.bigint()) / 1e6;
/** So many questions without an answer mean that there is nobody to ask. */
const REFUSALS = 4;

/**
 * Starts to watch. The clock is known once it is plausible and either the time service or the battery clock vouches for it, or it
 * made a step (somebody set it), or there is nobody who would know. Steps after that are told in the log; nothing follows from them.
 */
export function watchClock(options: ClockOptions): Clock {
  const { log, notBefore, timeSync = machine } = options;
  const boot = readBootId();
  let callbacks: (() => void)[] = [];
  /** Wall time less monotonic time: as times are counted, and as seen last. */
  let base = offset() ?? Date.now() - performance.now();
  let seen = base;
  let known = false;
  let told = false;
  let asking = false;
  let refusals = 0;
  let askAt = 0;
  let pause = ASK.first;
  let stopped = false;

  judge(false);
  const timer = setInterval(check, CHECK);
  timer.unref();

  function check(): void {
    const now = offset();
    if (now === undefined) return;
    const step = now - seen;
    const stepped = Math.abs(step) >= STEP;
    seen = now;
    if (!known) judge(stepped);
    else if (stepped)
      log.warn(
        { step: Math.round(step) },
        `the clock was set ${step < 0 ? 'back' : 'forward'} by ${spanText(Math.abs(step))}`,
      );
    if (known || told || asking) return;
    told = true;
    log.warn(
      { now: new Date().toISOString() },
      'the clock is not set yet: events are marked `"clock":"unset"` until it is',
    );
  }

  function judge(stepped: boolean): void {
    if (Date.now() < notBefore) return;
    const word = stepped ? 'set' : timeSync.look();
    if (word === undefined) ask();
    else if (word !== 'unset') learn();
  }

  function ask(): void {
    const now = performance.now();
    if (asking || now < askAt) return;
    asking = true;
    timeSync.ask().then(
      (word) => {
        refusals = 0;
        answered(word !== 'unset');
      },
      (error) => {
        log.debug({ reason: messageOf(error) }, 'the time service does not answer');
        answered(++refusals >= REFUSALS);
      },
    );
  }

  function answered(believe: boolean): void {
    asking = false;
    askAt = performance.now() + pause;
    pause = Math.min(ASK.longest, pause * 2);
    if (believe && !known && !stopped && Date.now() >= notBefore) learn();
  }

  function learn(): void {
    seen = offset() ?? seen;
    const correction = Math.round(seen - base);
    base = seen;
    known = true;
    if (told || Math.abs(correction) >= STEP)
      log.info({ correction }, `the clock is set: times so far are corrected by ${spanText(Math.abs(correction))}`);
    const waiting = callbacks;
    callbacks = [];
    for (const callback of waiting) callback();
  }

  return {
    get known() {
      return known;
    },
    get base() {
      return { boot, zero: base + BOOT_ZERO };
    },
    timeOf: (mono) => Math.round(base + mono),
    steadyNow: () => Math.round(base + performance.now()),
    onKnown(callback) {
      if (known) callback();
      else callbacks.push(callback);
      return () => {
        callbacks = callbacks.filter((other) => other !== callback);
      };
    },
    stop() {
      stopped = true;
      clearInterval(timer);
      callbacks = [];
    },
  };
}

/** Where times are counted from by a wall clock that nobody vouches for. */
export function assumedBase(): TimeBase {
  return { boot: readBootId(), zero: Date.now() - performance.now() + BOOT_ZERO };
}

/** The kernel's name for this boot (random(4)); where there is none, each process is a boot of its own. */
function readBootId(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  } catch {
    return randomUUID();
  }
}

/** Wall time less monotonic time; undefined when something held the process up between the two. */
function offset(): number | undefined {
  const before = performance.now();
  const wall = Date.now();
  const after = performance.now();
  return after - before < 100 ? wall - after : undefined;
}
