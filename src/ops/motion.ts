/** Notices work that has come to a halt without anybody saying so. */

/** Watches one count that should grow. */
export interface Motion {
  /** What stands still, and for how long; undefined while it moves. Ask from time to time: the time runs between questions. */
  stuck(): string | undefined;
}

/**
 * @param name what to call it when it stands still
 * @param limit milliseconds that it may take from one growth to the next
 * @param count grows with every piece of work done
 */
export function watchMotion(name: string, limit: number, count: () => number): Motion {
  let last = count();
  let since = performance.now();
  return {
    stuck() {
      const now = performance.now();
      const current = count();
      if (current !== last) {
        last = current;
        since = now;
      }
      const still = Math.round((now - since) / 1_000);
      return now - since > limit ? `${name} has done nothing for ${still} s` : undefined;
    },
  };
}

/** Counts per second, over the last seconds. */
export interface Rate {
  perSecond(): number;
  stop(): void;
}

/** Samples a growing count once a second, and remembers so many seconds. */
export function measureRate(count: () => number, seconds = 10): Rate {
  const samples = [{ at: performance.now(), count: count() }];
  const timer = setInterval(() => {
    samples.push({ at: performance.now(), count: count() });
    if (samples.length > seconds) samples.shift();
  }, 1_000);
  timer.unref();
  return {
    perSecond() {
      const first = samples[0];
      const passed = first === undefined ? 0 : (performance.now() - first.at) / 1_000;
      return first === undefined || passed < 0.1 ? 0 : (count() - first.count) / passed;
    },
    stop: () => clearInterval(timer),
  };
}
