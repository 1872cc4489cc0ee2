import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { watchClock } from '../../src/ops/clock.js';
import { openLog } from '../../src/ops/log.js';
import { type ClockWord, type TimeSync, wordOf } from '../../src/ops/time-sync.js';

const RELEASED = Date.UTC(2026, 0, 1);
const IN_1980 = Date.UTC(1980, 0, 6);
const NOW = Date.UTC(2026, 10, 23, 9);
const DAY = 86_400_000;

beforeEach(() => void vi.useFakeTimers({ now: NOW }));
afterEach(() => void vi.useRealTimers());

/** A machine that says what the test wants. */
class Machine implements TimeSync {
  sees: ClockWord | undefined;
  questions = 0;
  answer: ClockWord | Error = 'unset';

  constructor(sees?: ClockWord) {
    this.sees = sees;
  }

  look(): ClockWord | undefined {
    return this.sees;
  }

  async ask(): Promise<ClockWord> {
    this.questions++;
    if (this.answer instanceof Error) throw this.answer;
    return this.answer;
  }
}

function watch(timeSync: TimeSync) {
  const said: string[] = [];
  const { log } = openLog({ level: 'info', to: (line) => void said.push(JSON.parse(line).msg) });
  const clock = watchClock({ log, notBefore: RELEASED, timeSync });
  onTestFinished(() => clock.stop());
  const assumed = clock.base.zero;
  /** How far times before the clock was known were wrong, in milliseconds. */
  const correction = () => Math.round(clock.base.zero - assumed);
  return { clock, said, correction };
}

/** Somebody sets the wall clock; monotonic time and timers go on. */
const stepBy = (milliseconds: number) => vi.setSystemTime(Date.now() + milliseconds);
const seconds = (count: number) => vi.advanceTimersByTimeAsync(count * 1_000);

describe('the clock is known', () => {
  test.each(['set', 'nobody'] as const)('at once when the time is plausible and the machine says %s', (word) => {
    const { clock, said } = watch(new Machine(word));
    expect(clock.known).toBe(true);
    expect(said).toEqual([]);
  });

  test.each(['set', 'nobody'] as const)(
    'never while the time is before the release, even if the machine says %s',
    async (word) => {
      vi.setSystemTime(IN_1980);
      const { clock, said } = watch(new Machine(word));
      await seconds(7_200);
      expect(clock.known).toBe(false);
      expect(said).toEqual([expect.stringContaining('not set yet')]);
    },
  );

  test('when the time service says so; it is asked ever more seldom, and not at all afterwards', async () => {
    const machine = new Machine();
    const { clock, correction } = watch(machine);
    await seconds(3_600);
    expect(clock.known).toBe(false);
    expect(machine.questions).toBeGreaterThan(50);
    expect(machine.questions).toBeLessThan(70);
    machine.answer = 'set';
    await seconds(62);
    expect([clock.known, correction()]).toEqual([true, 0]);
    const { questions } = machine;
    await seconds(600);
    expect(machine.questions).toBe(questions);
  });

  test('when the machine shows it, without being asked', async () => {
    const machine = new Machine();
    const { clock } = watch(machine);
    await seconds(5);
    machine.sees = 'set';
    await seconds(1);
    expect(clock.known).toBe(true);
  });

  test('when there is a time service that never answers', async () => {
    const machine = new Machine();
    machine.answer = new Error('no bus');
    const { clock } = watch(machine);
    await seconds(10);
    expect(clock.known).toBe(false);
    await seconds(20);
    expect(clock.known).toBe(true);
  });

  test('when somebody sets it, whatever the time service says', async () => {
    const { clock, said, correction } = watch(new Machine('unset'));
    await seconds(600);
    expect(clock.known).toBe(false);
    stepBy(-3 * DAY);
    await seconds(1);
    expect([clock.known, correction()]).toEqual([true, -3 * DAY]);
    expect(said.at(-1)).toBe('the clock is set: times so far are corrected by 3 d');
  });

  test('not when it is set to a time before the release', async () => {
    vi.setSystemTime(0);
    const { clock, correction } = watch(new Machine('set'));
    await seconds(10);
    stepBy(IN_1980);
    await seconds(10);
    expect([clock.known, correction()]).toEqual([false, 0]);
    stepBy(NOW - IN_1980);
    await seconds(1);
    expect([clock.known, correction()]).toEqual([true, NOW]);
  });
});

describe('times', () => {
  test('taken before the clock was set are all wrong by the correction, steps in between or not', async () => {
    vi.setSystemTime(IN_1980);
    const { clock, correction } = watch(new Machine('nobody'));
    const taken = [];
    for (const step of [0, 40 * DAY, -90 * DAY]) {
      stepBy(step);
      await seconds(100);
      taken.push(clock.timeOf(performance.now()));
    }
    expect(taken).toEqual([IN_1980 + 100_000, IN_1980 + 200_000, IN_1980 + 300_000]);
    vi.setSystemTime(NOW);
    await seconds(1);
    const truth = [NOW - 200_000, NOW - 100_000, NOW];
    expect(taken.map((time) => time + correction())).toEqual(truth);
    expect(clock.steadyNow()).toBe(NOW + 1_000);
  });

  test('are steady afterwards, and each step is told once', async () => {
    const { clock, said, correction } = watch(new Machine('set'));
    await seconds(100);
    stepBy(-DAY);
    await seconds(100);
    stepBy(3_650 * DAY);
    await seconds(100);
    expect(clock.steadyNow()).toBe(NOW + 300_000);
    expect([clock.known, correction()]).toEqual([true, 0]);
    expect(said).toEqual(['the clock was set back by 24 h', 'the clock was set forward by 3650 d']);
  });

  test('what the time service corrects in passing is no step', async () => {
    const { said, correction } = watch(new Machine('set'));
    for (let i = 0; i < 20; i++) {
      stepBy(400);
      await seconds(10);
    }
    expect(said).toEqual([]);
    expect(correction()).toBe(0);
  });
});

describe('whoever waits for the clock', () => {
  test('is called once, and at once when it is known', async () => {
    vi.setSystemTime(IN_1980);
    const { clock, correction } = watch(new Machine('set'));
    const heard: number[] = [];
    clock.onKnown(() => void heard.push(correction()));
    await seconds(60);
    expect(heard).toEqual([]);
    stepBy(NOW - IN_1980);
    await seconds(60);
    clock.onKnown(() => void heard.push(correction()));
    expect(heard).toEqual([NOW - IN_1980, NOW - IN_1980]);
  });

  test('hears nothing once it is forgotten', async () => {
    vi.setSystemTime(IN_1980);
    const { clock } = watch(new Machine('set'));
    const heard = vi.fn();
    clock.onKnown(heard)();
    stepBy(NOW - IN_1980);
    await seconds(60);
    expect(clock.known).toBe(true);
    expect(heard).not.toHaveBeenCalled();
  });

  test('hears nothing after a stop', async () => {
    vi.setSystemTime(IN_1980);
    const { clock } = watch(new Machine('set'));
    const heard = vi.fn();
    clock.onKnown(heard);
    clock.stop();
    stepBy(NOW - IN_1980);
    await seconds(60);
    expect(heard).not.toHaveBeenCalled();
  });
});

test.each([
  ['NTP=yes\nNTPSynchronized=yes\n', 'set'],
  ['NTP=yes\nNTPSynchronized=no\n', 'unset'],
  ['NTP=no\nNTPSynchronized=yes\n', 'set'],
  ['NTP=no\nNTPSynchronized=no\n', 'nobody'],
])('timedatectl says %j: %s', (said, word) => {
  expect(wordOf(said)).toBe(word);
});
