/** What the running gateway answers about its devices, and does with them. */
import type { FoundDevice } from '../driver.js';
import type { Answers } from '../ops/control.js';
import type { DeviceChange } from './change.js';
import type { Register } from './register.js';
import type { JournalEntry, Registration } from './registration.js';

/** Answer to `devices`. */
export interface DevicesAnswer {
  readonly devices: readonly Registration[];
}

/** Answer to `history`. */
export interface HistoryAnswer {
  readonly entries: readonly JournalEntry[];
}

/** Answer to `found`: what each one is called in the register; null for one that is not kept. */
export interface FoundAnswer {
  readonly ids: readonly (string | null)[];
}

/** What is done with devices. */
export interface DeviceWork {
  change(change: DeviceChange): Promise<unknown>;
  find(connection: string, found: readonly FoundDevice[]): Promise<FoundAnswer['ids']>;
}

/** `devices`; `history` with `device` (an id); `change` with a `change`; `found` with `connection` and `devices`. */
export function answerRegister(register: Register, { change, find }: DeviceWork): Answers {
  return {
    devices: (): DevicesAnswer => ({ devices: register.list() }),
    history: async ({ device }): Promise<HistoryAnswer> => ({ entries: await register.history(String(device)) }),
    change: async (request): Promise<DevicesAnswer> => {
      await change(request.change as DeviceChange);
      return { devices: register.list() };
    },
    found: async ({ connection, devices }): Promise<FoundAnswer> => ({
      ids: await find(String(connection), devices as readonly FoundDevice[]),
    }),
  };
}
