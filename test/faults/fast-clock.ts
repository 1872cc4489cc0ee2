/** A clock that runs as fast as the work is done: timers and times of this process are the test's; files, threads and sockets are real. */
import { onTestFinished, vi } from 'vitest';

/** Time stands still from now on, but for `pass`, until the test is over. */
export function stopTime(): void {
  vi.useFakeTimers({
    now: 1_700_000_000_000,
    toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'Date', 'performance'],
  });
  onTestFinished(() => void vi.useRealTimers());
}

/** Lets so many milliseconds pass, and what is ready be done. */
export async function pass(span: number): Promise<void> {
  vi.advanceTimersByTime(span);
  await new Promise<void>((resolve) => setImmediate(resolve));
}

/** Lets time pass, a millisecond a turn, until the condition holds. */
export async function passUntil(condition: () => boolean): Promise<void> {
  while (!condition()) await pass(1);
}
