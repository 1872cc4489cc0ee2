/** What one device tells by itself: subscribes whenever its wire is open, again after a pause when that fails, and passes on what is pushed. */
import type { Listener, Session, Subscription } from '../driver.js';
import { isKind, messageOf } from '../errors.js';
import type { RunTurn } from '../field/turn.js';
import type { Device, Point, Push } from '../model.js';
import type { DueSet } from './due-set.js';
import { Backoff } from './link.js';
import { type Pushed, PushReader } from './pushed.js';

/** What a feed tells its station. */
export interface FeedEvents {
  /** The device subscribed; these of its points have to be polled. */
  subscribed(polled: readonly Point[]): void;
  /** The device tells values; with the source's own time if it has one. */
  told(pushed: Pushed, at: number | undefined): void;
  /** The device tells nothing any more, or could not be subscribed to; with the error when that is the driver's own. */
  silent(reason: string, bug?: unknown): void;
  /** The wire is gone. */
  broke(error: unknown): void;
}

/** A subscription that held so long is made again at once when it ends. */
const STABLE = 10_000;

export class Feed {
  /** True from the first push until the device goes silent or the wire is closed. */
  live = false;
  readonly #device: Device;
  readonly #all: DueSet;
  readonly #events: FeedEvents;
  readonly #reader: PushReader;
  readonly #backoff = new Backoff();
  /** The one that may speak: those of former sessions are not heard. */
  #listener: Listener | undefined;
  #subscription: Subscription | undefined;
  #subscribedAt = 0;
  /** Not before then (monotonic milliseconds) is the device subscribed to again. */
  #notBefore = 0;
  #timer: NodeJS.Timeout | undefined;

  /** `all` are the points that are offered to the device. */
  constructor(device: Device, all: DueSet, events: FeedEvents) {
    this.#device = device;
    this.#all = all;
    this.#events = events;
    this.#reader = new PushReader(all);
  }

  /** The wire is open: subscribes in one of its next turns. */
  open(run: RunTurn): void {
    const wait = this.#notBefore - performance.now();
    if (wait <= 0) void this.#subscribe(run);
    else this.#timer = setTimeout(() => void this.#subscribe(run), wait);
  }

  /** The wire is closed, and the subscription with it. Nothing is told any more. */
  close(): void {
    clearTimeout(this.#timer);
    this.#listener = undefined;
    this.#subscription = undefined;
    this.live = false;
  }

  /** The device is taken off a wire that stays open. */
  leave(): void {
    const subscription = this.#subscription;
    this.close();
    if (subscription) void unsubscribe(subscription);
  }

  async #subscribe(run: RunTurn): Promise<void> {
    const listener = this.#listen(run);
    this.#listener = listener;
    try {
      await run(({ session }) => this.#ask(session, listener));
    } catch (error) {
      // What ends the wire is told to all of its devices.
      if (this.#listener === listener && !isKind(error, 'reconnect')) this.#fail('not subscribed', error, run);
    }
  }

  async #ask(session: Session, listener: Listener): Promise<void> {
    this.#subscribedAt = performance.now();
    if (!session.subscribe) throw new Error('the session cannot subscribe');
    let subscription: Subscription;
    try {
      subscription = await session.subscribe(this.#device, this.#all.points, listener);
    } catch (error) {
      if (isKind(error, 'reconnect')) this.#postpone();
      throw error;
    }
    if (this.#listener !== listener) return unsubscribe(subscription);
    this.#subscription = subscription;
    const { polled } = subscription;
    const stranger = polled.find((point) => !this.#all.points.includes(point));
    if (stranger) throw new Error(`the driver wants ${stranger.id} polled, which it was not offered`);
    this.#events.subscribed(polled);
  }

  #listen(run: RunTurn): Listener {
    const heard = (): boolean => this.#listener === listener;
    const listener: Listener = {
      push: (push) => {
        if (heard()) this.#take(push, run);
      },
      silent: (reason) => {
        if (!heard()) return;
        this.live = false;
        this.#events.silent(reason);
      },
      broke: (error) => {
        if (!heard()) return;
        this.#postpone();
        this.#events.broke(error);
      },
    };
    return listener;
  }

  #take(push: Push, run: RunTurn): void {
    let pushed: Pushed;
    try {
      pushed = this.#reader.read(push);
    } catch (error) {
      this.#fail('subscription ended', error, run);
      return;
    }
    this.live = true;
    this.#events.told(pushed, push.at);
  }

  /** Only this device is concerned: it is subscribed to again after a pause. */
  #fail(what: string, error: unknown, run: RunTurn): void {
    this.leave();
    this.#postpone(true);
    this.#events.silent(`${what}: ${messageOf(error)}`, error instanceof Error && 'kind' in error ? undefined : error);
    this.open(run);
  }

  /** Each time that it fails or breaks the wire, the device leaves the wire to the others for longer. */
  #postpone(slow = false): void {
    const now = performance.now();
    if (now - this.#subscribedAt >= STABLE) this.#backoff.reset();
    if (slow) this.#backoff.slow();
    this.#notBefore = now + this.#backoff.next();
  }
}

async function unsubscribe(subscription: Subscription): Promise<void> {
  try {
    await subscription.close();
  } catch {
    // A subscription that does not end is not heard any more.
  }
}
