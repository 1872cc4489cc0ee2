/** Writers, one after another, on the outbox of a scene: each accepts events until it is struck. */
import type { CrashOptions } from '../support/crash-child.js';
import { FLUSH, type Scene, UNTOLD } from './scene.js';
import { type Accepted, Writer } from './writer.js';

/** Milliseconds: what a process may take to come to the call that it dies of. */
const PATIENCE = 4_000;

/** A small outbox; it is full soon. */
export const WINDOW = { flush: `${FLUSH}ms`, live_for: '300ms', size: '8MB' };
/** The same, with each event on disk when it is told. */
export const STRICT = { ...WINDOW, durability: 'strict' };

/** The command that preloads a module of test/support, which tells of a phase. */
export function telling(module: string): string[] {
  return ['env', `NODE_OPTIONS=--import=${new URL(`../support/${module}.js`, import.meta.url).href}`];
}

/** Strikes them, and notes what each had accepted. */
export class Strikes {
  /** Those that died by themselves, in the phase. */
  inside = 0;
  /** All that were struck, or should have been. */
  count = 0;
  /** Transactions that thinned. */
  thinned = 0;
  /** All that was told, whether it had to survive or not. */
  readonly accepted: Accepted[] = [];
  #next = 1;

  constructor(private readonly scene: Scene) {}

  /** Has one live until strace kills it. @param during the last thing it must have told of to have died in the phase */
  async strike(options: Partial<CrashOptions>, wrapper: readonly string[], during?: string): Promise<void> {
    this.count++;
    const writer = this.#start(options, wrapper);
    const struck = await writer.dies(PATIENCE);
    if (struck && (during === undefined || writer.remarks.at(-1) === during)) this.inside++;
    this.#note(writer, options);
  }

  /** Has one live for a while, milliseconds at most. */
  async live(most: number, options: Partial<CrashOptions>, wrapper: readonly string[] = []): Promise<void> {
    const writer = this.#start(options, wrapper);
    await writer.accepts();
    await this.scene.live(most);
    await writer.kill();
    this.#note(writer, options);
  }

  #start(options: Partial<CrashOptions>, wrapper: readonly string[]): Writer {
    return Writer.start({ ...this.scene.writes, buffer: {}, first: this.#next, ...options }, ...wrapper);
  }

  #note(writer: Writer, { buffer }: Partial<CrashOptions>): void {
    const { accepted } = writer;
    this.thinned += writer.remarks.filter((remark) => remark === 'thinned').length;
    this.accepted.push(...accepted);
    const strict = buffer !== undefined && 'durability' in buffer;
    this.scene.struck(accepted.at(-1)?.at ?? 0, accepted, strict);
    this.#next = (accepted.at(-1)?.n ?? this.#next) + UNTOLD;
  }
}
