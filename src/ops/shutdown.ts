/** How a program stops: what was begun last ends first, each part in its time, and a part that fails holds up no other. */
import type { Logger } from 'pino';
import { messageOf } from '../errors.js';

/** Most milliseconds that a part may take. */
const STOP_WITHIN = 2_500;

/** What is to be undone. */
export interface Shutdown {
  /**
   * @param what its name in the log
   * @param most milliseconds that it may take
   */
  add(what: string, work: () => Promise<void> | void, most?: number): void;
  /** Undoes all, once, the last first. What fails, or takes longer than it may, is logged. Never rejects. */
  run(): Promise<void>;
}

/** Begins with nothing to undo. */
export function planShutdown(log: Logger): Shutdown {
  const parts: { readonly what: string; readonly work: () => Promise<void> | void; readonly most: number }[] = [];
  return {
    add(what, work, most = STOP_WITHIN) {
      parts.push({ what, work, most });
    },
    async run() {
      for (const { what, work, most } of parts.splice(0).reverse()) {
        const trouble = await within(most, work);
        if (trouble !== undefined) log.error({ reason: trouble }, `stopping the ${what} failed`);
      }
    },
  };
}

/** Does the work, and says what went wrong with it: it failed, or took longer than it may. */
async function within(milliseconds: number, work: () => Promise<void> | void): Promise<string | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<string>((done) => {
    timer = setTimeout(() => done(`not done in ${Math.round(milliseconds)} ms`), milliseconds);
  });
  try {
    return await Promise.race([late, (async () => (await work()) ?? undefined)()]);
  } catch (error) {
    return messageOf(error);
  } finally {
    clearTimeout(timer);
  }
}
