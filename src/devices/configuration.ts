/** What gateway.yaml says of devices, and what that means for the register. */
import { isDeepStrictEqual } from 'node:util';
import type { Candidate } from './found.js';
import { type JournalEntry, type Moment, NOT_READ, type Registration } from './registration.js';

/** A device of gateway.yaml. */
export interface Configured extends Candidate {
  readonly profile: string;
  readonly tags: Readonly<Record<string, string>>;
}

/** What a site says of its devices. */
export interface Configuration {
  /** Those of gateway.yaml. */
  readonly configured: readonly Configured[];
  /** Ids of those of them that are disabled there. */
  readonly disabled: ReadonlySet<string>;
  /** Why some devices of the register cannot run, by id. */
  readonly unfit: ReadonlyMap<string, string>;
}

/** What is new or different in gateway.yaml, and what is not there any more, as entries without their time. Settings stay where they are written. */
export function configuredEntries(
  registrations: ReadonlyMap<string, Registration>,
  { configured, disabled }: Configuration,
): Omit<JournalEntry, keyof Moment>[] {
  const entries: Omit<JournalEntry, keyof Moment>[] = [];
  for (const { id, connection, profile, tags } of configured) {
    const device = registrations.get(id);
    const off = disabled.has(id);
    const now = { origin: 'gateway.yaml', connection, profile, tags } as const;
    const same = device !== undefined && isDeepStrictEqual({ ...device, ...now }, device);
    if (same && device.state !== 'retired' && (device.state === 'disabled') === off) continue;
    const state = off ? ({ state: 'disabled', reason: 'by gateway.yaml' } as const) : NOT_READ;
    entries.push({ device: id, what: 'configured', set: { ...now, settings: {}, ...state } });
  }
  const named = new Set(configured.map(({ id }) => id));
  for (const { id, origin, state } of registrations.values())
    if (origin === 'gateway.yaml' && !named.has(id) && state !== 'retired')
      entries.push({ device: id, what: 'retired', set: { state: 'retired', reason: 'not in gateway.yaml' } });
  return entries;
}
