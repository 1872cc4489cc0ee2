/**
 * The register of devices, as it lives in a running gateway: what is configured, added, found; how each stands; and what is told of that. What
 * happens goes to the journal and upstream as one and the same piece of news.
 */
import { isDeepStrictEqual } from 'node:util';
import type { Logger } from 'pino';
import type { FoundDevice } from '../driver.js';
import { messageOf } from '../errors.js';
import type { DeviceState } from '../model.js';
import type { Clock } from '../ops/clock.js';
import type { DiskThread } from '../ops/disk-thread.js';
import { type Repeated, repeated } from '../ops/repeated.js';
import { type Configuration, type Configured, configuredEntries } from './configuration.js';
import { Damper } from './damper.js';
import { type Judged, judgeFound } from './found.js';
import { Journal, RETRY } from './journal.js';
import { type DeviceNews, newsOf } from './news.js';
import {
  apply,
  correctedSince,
  isActive,
  isUnread,
  type JournalEntry,
  type Moment,
  type Registration,
  type Registrations,
  sinceOf,
  summaryOf,
} from './registration.js';

/** What the register is given. */
export interface RegisterOptions {
  /** As they were when the gateway was stopped. */
  readonly registrations: ReadonlyMap<string, Registration>;
  /** The data folder. */
  readonly folder: string;
  readonly thread: DiskThread;
  readonly clock: Clock;
  readonly log: Logger;
  tell(news: DeviceNews): void;
  /** The disk, which refused at first, has the register: what runs is to follow it. */
  reopened(): void;
  /** Milliseconds from one piece of news to the next of a device that changes on and on. */
  readonly damping?: number;
}

/** What polling said last of a device; whether that is its first word since it is polled, and how many changes are not told yet. */
interface Heard {
  readonly state: DeviceState;
  readonly reason?: string;
  first: boolean;
  changes: number;
}

export class Register {
  readonly #options: RegisterOptions;
  readonly #journal: Journal;
  #devices: Registrations;
  /** True once the first configuration is taken up. */
  #used = false;
  /** What polling said last of each device since it is polled. */
  readonly #heard = new Map<string, Heard>();
  /** The devices of gateway.yaml, whose settings stay there. */
  #configured: readonly Configured[] = [];
  readonly #damper: Damper;
  readonly #ignored: Repeated;
  readonly #closed: Repeated;
  #reopening: NodeJS.Timeout | undefined;
  #forgetClock = (): void => {};
  /** The last decision, on disk or refused. */
  #decided: Promise<unknown> = Promise.resolve();
  /** What is to be done behind a decision that is on its way to the disk, each once: the journal has the order in which things are told. */
  #behind: Map<string, () => void> | undefined;

  constructor(options: RegisterOptions) {
    this.#options = options;
    const { folder, thread, log } = options;
    this.#journal = new Journal({ folder, thread, log, onLoss: () => this.#inOrder('all', () => this.#writeAll()) });
    this.#devices = new Map(options.registrations);
    this.#damper = new Damper(options.damping);
    this.#ignored = repeated(log);
    this.#closed = repeated(log);
  }

  /** All devices, as they were told last. */
  get devices(): Registrations {
    return this.#devices;
  }

  /** The same, with what polling says at this moment. */
  list(): Registration[] {
    return [...this.#devices.values()].map((device) => {
      const heard = isActive(device) ? this.#heard.get(device.id) : undefined;
      if (!heard) return device;
      const { reason: _, ...rest } = device;
      return { ...rest, state: heard.state, ...(heard.reason !== undefined && { reason: heard.reason }) };
    });
  }

  /** News of each device that was told of, as it stands: for those who have not heard it. */
  standing(): DeviceNews[] {
    const at = this.now();
    const told = [...this.#devices.values()].filter((device) => !isUnread(device));
    return told.map((device) => newsOf(device, device.state, at, true));
  }

  /** Takes up what the site says. At first those are told anew that are not polled: the others say how they are by themselves. */
  use(configuration: Configuration): void {
    this.#configured = configuration.configured;
    const entries = configuredEntries(this.#devices, configuration);
    const told = new Set(entries.map(({ device }) => device));
    for (const entry of entries) this.#note(entry);
    for (const [id, reason] of configuration.unfit) this.heard(id, 'offline', reason);
    if (this.#used) return;
    this.#used = true;
    for (const news of this.standing()) if (!isActive(news) && !told.has(news.device)) this.#options.tell(news);
  }

  /** Polling says how a device is. */
  heard(id: string, state: DeviceState, reason?: string): void {
    const device = this.#devices.get(id);
    if (!device || !isActive(device)) return;
    const before = this.#heard.get(id);
    const { first, changes } = before ?? { first: true, changes: 0 };
    const news = before?.state !== state;
    this.#heard.set(id, {
      state,
      ...(reason !== undefined && { reason }),
      first,
      changes: news ? changes + 1 : changes,
    });
    if (news) this.#damped(id, () => this.#tellState(id));
  }

  /** A device was found on a connection. Gives the device that it is, or undefined when it is not kept. */
  async found(connection: string, device: FoundDevice): Promise<string | undefined> {
    // What is being decided may be on this very device.
    while (this.#behind) await this.#decided;
    const judged = this.#judge(connection, device);
    if (typeof judged === 'string') {
      this.#ignored.failed(judged, { connection });
      return undefined;
    }
    const { id, entry } = judged;
    if (entry?.what === 'found') this.#note(entry);
    else if (entry) this.#damped(`identity of ${id}`, () => this.#identify(connection, device));
    return id;
  }

  /** The time, as entries carry it. */
  now(): Moment {
    const { clock } = this.#options;
    return clock.known ? { at: Date.now() } : { at: clock.timeOf(performance.now()), clock: clock.base };
  }

  /**
   * Writes what somebody decided, and then takes it into account.
   * @throws TidegateError REGISTER_STORE when the disk refuses; nothing has changed then
   */
  commit(entries: readonly JournalEntry[]): Promise<void> {
    const decision = this.#decide(entries);
    this.#decided = decision.catch(() => {});
    return decision;
  }

  async #decide(entries: readonly JournalEntry[]): Promise<void> {
    const behind = new Map<string, () => void>();
    this.#behind = behind;
    try {
      await this.#journal.commit(entries);
      for (const entry of entries) this.#take(entry);
    } finally {
      this.#behind = undefined;
      for (const work of behind.values()) work();
    }
  }

  /**
   * Opens the journal. While the disk refuses, nothing is decided, and nothing else is written.
   * @returns true when the register is not as it was read for this start
   */
  async open(): Promise<boolean> {
    try {
      const registrations = await this.#journal.open();
      this.#closed.over('the register of devices is open');
      const changed = !isDeepStrictEqual(registrations, this.#devices);
      this.#devices = registrations;
      this.#forgetClock = this.#options.clock.onKnown(() => this.#correct());
      return changed;
    } catch (error) {
      this.#closed.failed(`${messageOf(error)}; until it can, nothing is decided on devices`);
      this.#reopening = setTimeout(() => void this.#reopen(), RETRY).unref();
      return false;
    }
  }

  async #reopen(): Promise<void> {
    this.#reopening = undefined;
    await this.open();
    if (this.#reopening) return;
    // What was heard meanwhile is not written: it is heard anew.
    this.#heard.clear();
    this.#options.reopened();
  }

  /** What happened to a device. @throws TidegateError REGISTER_STORE */
  history(id: string): Promise<JournalEntry[]> {
    return this.#journal.history(id);
  }

  /** Tells what is held back, and writes what waits. Never rejects. */
  async close(): Promise<void> {
    this.#damper.stop();
    clearTimeout(this.#reopening);
    this.#forgetClock();
    await this.#journal.close();
  }

  /** Tells of a thing; later, and then as it is by then, when it has had its share, or while a decision is on its way to the disk. */
  #damped(thing: string, tell: () => void): void {
    this.#damper.tell(thing, () => this.#inOrder(`of ${thing}`, tell));
  }

  /** Does it at once, or behind a decision that is on its way to the disk. */
  #inOrder(what: string, work: () => void): void {
    if (this.#behind) this.#behind.set(what, work);
    else work();
  }

  #judge(connection: string, device: FoundDevice): Judged | string {
    return judgeFound(connection, device, this.#devices, this.#configured);
  }

  #identify(connection: string, device: FoundDevice): void {
    const judged = this.#judge(connection, device);
    if (typeof judged !== 'string' && judged.entry) this.#note(judged.entry);
  }

  /** Tells how a device is; at its first word since it is polled also what was so before. */
  #tellState(id: string): void {
    const device = this.#devices.get(id);
    const heard = this.#heard.get(id);
    if (!device || !heard || !isActive(device)) return;
    const { state, reason, first, changes } = heard;
    Object.assign(heard, { first: false, changes: 0 });
    // One that went and came back meanwhile is in its state anew.
    const stays = state === device.state && changes === 1 && !isUnread(device);
    const why = reason === undefined ? {} : { reason };
    const entry = { device: id, what: 'state', set: { state, ...why }, ...(changes > 1 && { changes }) } as const;
    if (stays && device.reason === reason) this.#options.tell(newsOf(device, state, this.now(), first));
    else this.#note({ ...entry, ...(stays && { since: sinceOf(device) }) }, first);
  }

  #note(entry: Omit<JournalEntry, keyof Moment>, first = false): void {
    const whole = { ...this.now(), ...entry };
    this.#journal.add(whole);
    this.#take(whole, first);
  }

  /** As each device is now. */
  #writeAll(): void {
    for (const device of this.#devices.values()) this.#journal.add(summaryOf(device, this.now()));
  }

  /** The clock is set. */
  #correct(): void {
    const { base } = this.#options.clock;
    for (const [id, device] of this.#devices) if (device.clock) this.#devices.set(id, correctedSince(device, base));
    this.#journal.correct(base);
  }

  #take(entry: JournalEntry, first = false): void {
    const { device: id, was, changes } = entry;
    const before = this.#devices.get(was ?? id);
    const after = apply(this.#devices, entry);
    if (!isActive(after) || isUnread(after)) this.#heard.delete(id);
    const { tell } = this.#options;
    if (was !== undefined && before)
      tell(newsOf({ ...before, state: 'retired', reason: `called ${id} from now on` }, before.state, entry));
    // Whether it is there, polling says within moments: that is news.
    if (isUnread(after)) return;
    const news = newsOf(after, was === undefined ? before?.state : undefined, entry, first);
    tell({ ...news, ...(changes !== undefined && { changes }) });
  }
}
