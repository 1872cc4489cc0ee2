/** Devices that announce themselves on a wire: listens whenever it is open, and again after a pause when that fails. */
import type { FoundDevice, Session } from '../driver.js';
import { isKind, messageOf } from '../errors.js';
import type { RunTurn } from '../field/turn.js';
import type { Repeated } from '../ops/repeated.js';
import { Backoff } from './link.js';

export class Discovery {
  readonly #found: (device: FoundDevice) => void;
  readonly #trouble: Repeated;
  readonly #backoff = new Backoff();
  /** The session that may speak: those before are not heard. */
  #session: Session | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(found: (device: FoundDevice) => void, trouble: Repeated) {
    this.#found = found;
    this.#trouble = trouble;
    this.#backoff.slow();
  }

  /** The wire is open: listens from one of its next turns on. */
  open(session: Session, run: RunTurn): void {
    this.#session = session;
    if (session.discover) void this.#listen(session, run);
    else this.#trouble.failed('nothing announces itself by this driver: `discover` has no use here');
  }

  /** The wire is closed, and all that listens on it. */
  close(): void {
    clearTimeout(this.#timer);
    this.#session = undefined;
  }

  async #listen(session: Session, run: RunTurn): Promise<void> {
    const heard = (device: FoundDevice): void => {
      if (this.#session === session) this.#found(device);
    };
    try {
      await run(async (turn) => {
        await turn.session.discover?.(heard);
      });
      this.#trouble.over('listens for devices that announce themselves');
    } catch (error) {
      // What ends the wire is told by the wire.
      if (this.#session !== session || isKind(error, 'reconnect')) return;
      this.#trouble.failed(`cannot listen for devices that announce themselves: ${messageOf(error)}`);
      this.#timer = setTimeout(() => void this.#listen(session, run), this.#backoff.next());
    }
  }
}
