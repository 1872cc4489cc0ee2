/** What people, and gateway.yaml, decide on devices of the register: checked, written to its journal, and then run by way of a reload. */
import type { Logger } from 'pino';
import { type DeviceChange, entryOf } from '../devices/change.js';
import { admittedProfile } from '../devices/found.js';
import { RETRY } from '../devices/journal.js';
import type { Register } from '../devices/register.js';
import { apply, isActive, type JournalEntry, type Registrations } from '../devices/registration.js';
import { messageOf, TidegateError } from '../errors.js';
import { inTurn } from '../ops/in-turn.js';
import { repeated } from '../ops/repeated.js';
import { type Site, withRegister } from '../site.js';
import type { Changes } from './plan.js';
import type { Reloader } from './reloader.js';

/** What an enrolment is given. */
export interface EnrolmentOptions {
  readonly register: Register;
  readonly reloader: Pick<Reloader, 'change'>;
  /** The site that runs. */
  site(): Site;
  readonly log: Logger;
}

/** Takes decisions on devices. */
export interface Enrolment {
  /**
   * Does what somebody asked for; when it resolves, that is on disk, and runs.
   * @throws TidegateError USAGE or REGISTER_DEVICE when it cannot be done, REGISTER_STORE when the disk refuses; nothing has changed then
   */
  change(change: DeviceChange): Promise<Changes>;
  /** Approves those that wait and that gateway.yaml admits. Never rejects. */
  admit(): Promise<void>;
  /** Runs what the register says now, when that was changed behind the gateway's back. Never rejects. */
  refresh(): Promise<void>;
  /** Ends all attempts. */
  close(): void;
}

/**
 * A site with what entries make of its register.
 * @throws TidegateError REGISTER_DEVICE when a device that they put into service cannot run
 */
export async function withEntries(site: Site, before: Registrations, entries: readonly JournalEntry[]): Promise<Site> {
  const next = await foreseen(site, before, entries);
  for (const { device } of entries.filter(entersService)) {
    const reason = next.unfit.get(device);
    const hint = 'Nothing was changed.';
    if (reason !== undefined) throw new TidegateError('REGISTER_DEVICE', `${device} cannot run: ${reason}`, { hint });
  }
  return next;
}

/** Begins to take decisions. */
export function openEnrolment({ register, reloader, site: running, log }: EnrolmentOptions): Enrolment {
  const trouble = repeated(log);
  let again: NodeJS.Timeout | undefined;

  async function commit(site: Site, entries: readonly JournalEntry[]): Promise<Site> {
    const next = await withEntries(site, register.devices, entries);
    await register.commit(entries);
    return next;
  }

  /** Those that gateway.yaml admits, as entries. */
  function admitted(): JournalEntry[] {
    const context = { registrations: register.devices, now: register.now(), by: 'by gateway.yaml' };
    return [...register.devices.values()].flatMap((device) => {
      if (device.state !== 'pending') return [];
      const profile = admittedProfile(running().config.register, device);
      return profile === undefined ? [] : [entryOf({ do: 'approve', id: device.id, profile }, context)];
    });
  }

  const admit = inTurn(async () => {
    if (admitted().length === 0) return;
    await reloader.change(async (site) => {
      const entries = admitted();
      const { unfit } = await foreseen(site, register.devices, entries);
      for (const { device } of entries.filter((entry) => unfit.has(entry.device)))
        trouble.failed(`not approved: ${device} cannot run: ${unfit.get(device)}`);
      const fit = entries.filter((entry) => !unfit.has(entry.device));
      return fit.length > 0 ? commit(site, fit) : site;
    });
  });

  async function allAdmitted(): Promise<void> {
    try {
      await admit();
    } catch (error) {
      trouble.failed(`devices wait for approval: ${messageOf(error)}`);
      // The disk may take it later; all else needs a person.
      if (!(error instanceof TidegateError && error.code === 'REGISTER_STORE')) return;
      clearTimeout(again);
      again = setTimeout(() => void allAdmitted(), RETRY).unref();
    }
  }

  return {
    change: (change) =>
      reloader.change((site) => {
        const context = { registrations: register.devices, now: register.now(), by: 'by command' };
        return commit(site, [entryOf(change, context)]);
      }),
    admit: allAdmitted,
    async refresh() {
      await reloader
        .change((site) => withRegister(site, new Map(register.devices)))
        .catch((error) => trouble.failed(`the register is not taken up: ${messageOf(error)}`));
    },
    close: () => clearTimeout(again),
  };
}

/** The site as entries would make it. */
function foreseen(site: Site, before: Registrations, entries: readonly JournalEntry[]): Promise<Site> {
  const registrations = new Map(before);
  for (const entry of entries) apply(registrations, entry);
  return withRegister(site, registrations);
}

function entersService({ set: { state = 'retired' } }: JournalEntry): boolean {
  return isActive({ state });
}
