/** A faked clock for each test of a file, and nothing left to chance. */
import { afterEach, beforeEach, vi } from 'vitest';

/** Fakes both before each test, and behind it stops what runs; time passes meanwhile. */
export function fakeTimers(running: () => { stop(): Promise<void> } | undefined): void {
  beforeEach(() => {
    vi.useFakeTimers();
    vi.spyOn(Math, 'random').mockReturnValue(0.5);
  });
  afterEach(async () => {
    const stopped = running()?.stop();
    await vi.advanceTimersByTimeAsync(2_000);
    await stopped;
    vi.restoreAllMocks();
    vi.useRealTimers();
  });
}
