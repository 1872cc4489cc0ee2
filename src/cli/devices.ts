/** `tidegate devices`: the register of devices, asked of the running gateway, or read from its file while none runs. */

import type { DevicesAnswer, FoundAnswer, HistoryAnswer } from '../devices/answers.js';
import { type DeviceChange, entryOf } from '../devices/change.js';
import { configuredEntries } from '../devices/configuration.js';
import { judgeFound } from '../devices/found.js';
import { readEntries } from '../devices/journal.js';
import {
  apply,
  historyOf,
  type JournalEntry,
  type Moment,
  type Registration,
  type Registrations,
} from '../devices/registration.js';
import type { FoundDevice } from '../driver.js';
import { assumedBase } from '../ops/clock.js';
import { askControl } from '../ops/control.js';
import { lockData } from '../ops/lock.js';
import { toJson } from '../ops/text.js';
import { withEntries } from '../reload/enrolment.js';
import { configurationOf, loadSite, type Site } from '../site.js';
import { RELEASED } from '../version.js';
import { findData } from './data.js';
import { factsText, historyText, type Known, listText } from './device-text.js';
import { EXIT } from './exit.js';
import { find } from './find.js';

interface Options {
  readonly config?: string;
  readonly json?: boolean;
}

/** Devices that a request tells of: it may not be long. */
const AT_ONCE = 20;

/** Lists all devices, those that wait for approval first. Gives the exit code. */
export async function list(options: Options = {}): Promise<number> {
  const { running, devices } = await known(options);
  if (options.json) say(toJson({ running, devices }));
  else say(listText({ running, devices }).join('\n'));
  return EXIT.ok;
}

/** Shows all that is known of one device. Gives the exit code. */
export async function show(id: string, options: Options = {}): Promise<number> {
  const device = find((await known(options)).devices, id, 'device');
  say(options.json ? toJson(device) : factsText(device).join('\n'));
  return EXIT.ok;
}

/** Shows what happened to one device. Gives the exit code. */
export async function history(id: string, options: Options = {}): Promise<number> {
  find((await known(options)).devices, id, 'device');
  const folder = findData(options.config ?? 'gateway.yaml');
  const answer = await askControl<HistoryAnswer>(folder, { ask: 'history', device: id });
  const entries = answer?.entries ?? historyOf(await readEntries(folder), id);
  if (options.json) say(toJson({ device: id, entries }));
  else if (entries.length === 0) say(`Nothing has happened to ${id} yet.`);
  else say(historyText(entries).join('\n'));
  return EXIT.ok;
}

/** What `devices add` says of a new device. */
interface Addition extends Options {
  readonly profile: string;
  readonly connection: string;
  /** `unit=17`, one for each key that the driver needs. */
  readonly set?: readonly string[];
  readonly tag?: readonly string[];
}

/** Adds a device. Gives the exit code. */
export function add(id: string, { profile, connection, set = [], tag = [], ...options }: Addition): Promise<number> {
  const tags = Object.fromEntries(tag.map(pairOf));
  const settings = Object.fromEntries(set.map(pairOf).map(([key, text]) => [key, scalarOf(text)]));
  return change({ do: 'add', id, profile, connection, settings, tags }, options);
}

/** Takes a device that waits, or is retired, into service. Gives the exit code. */
export function approve(
  id: string,
  { profile, as, ...options }: Options & { readonly profile?: string; readonly as?: string } = {},
): Promise<number> {
  const more = { ...(profile !== undefined && { profile }), ...(as !== undefined && { as }) };
  return change({ do: 'approve', id, ...more }, options);
}

/** Stops polling a device. Gives the exit code. */
export function disable(id: string, options: Options = {}): Promise<number> {
  return change({ do: 'disable', id }, options);
}

/** Polls a disabled device again. Gives the exit code. */
export function enable(id: string, options: Options = {}): Promise<number> {
  return change({ do: 'enable', id }, options);
}

/** Takes a device out of service; its history is kept. Gives the exit code. */
export function retire(id: string, options: Options = {}): Promise<number> {
  return change({ do: 'retire', id }, options);
}

async function change(change: DeviceChange, options: Options): Promise<number> {
  const config = options.config ?? 'gateway.yaml';
  const answer = await askControl<DevicesAnswer>(findData(config), { ask: 'change', change });
  const devices = answer?.devices ?? (await changeFile(config, change));
  const id = change.do === 'approve' ? (change.as ?? change.id) : change.id;
  const device = find(devices, id, 'device');
  const then = answer ? '' : ' No gateway runs: its next start takes it up.';
  say(options.json ? toJson(device) : `${id}: ${DONE[change.do]}.${then}`);
  return EXIT.ok;
}

const DONE = {
  add: 'added',
  approve: 'approved',
  disable: 'disabled',
  enable: 'enabled',
  retire: 'retired; its history is kept',
} as const;

/** Decides on the file itself. */
function changeFile(config: string, change: DeviceChange): Promise<Registration[]> {
  return onFile(config, async (site, registrations) => {
    const entry = entryOf(change, { registrations, now: now(), by: 'by command' });
    await withEntries(site, registrations, [entry]);
    return [entry];
  });
}

/**
 * Has the register keep devices that were found on a connection. Gives what each is called there; null for one that is not kept.
 * @throws TidegateError REGISTER_STORE, or DATA_IN_USE when the gateway does not answer
 */
export async function keepFound(
  config: string,
  connection: string,
  devices: readonly FoundDevice[],
): Promise<(string | null)[]> {
  const folder = findData(config);
  const ids: (string | null)[] = [];
  while (ids.length < devices.length) {
    const some = devices.slice(ids.length, ids.length + AT_ONCE);
    const answer = await askControl<FoundAnswer>(folder, { ask: 'found', connection, devices: some });
    if (!answer) break;
    ids.push(...answer.ids);
  }
  if (ids.length === devices.length) return ids;
  await onFile(config, async (site, registrations) => {
    const entries: JournalEntry[] = [];
    for (const device of devices.slice(ids.length)) {
      const judged = judgeFound(connection, device, registrations, configurationOf(site).configured);
      if (typeof judged === 'string') {
        process.stderr.write(`${judged}\n`);
        ids.push(null);
        continue;
      }
      ids.push(judged.id);
      const entry = judged.entry && { ...now(), ...judged.entry };
      if (entry) entries.push(entry);
      if (entry) apply(registrations, entry);
    }
    return entries;
  });
  return ids;
}

/** Adds entries to the file itself: no gateway may run meanwhile. Gives all devices then. */
async function onFile(
  config: string,
  work: (site: Site, registrations: Registrations) => Promise<JournalEntry[]>,
): Promise<Registration[]> {
  const folder = findData(config);
  const lock = await lockData(folder);
  try {
    const { openJournal } = await import('../devices/journal-file.js');
    const { file, registrations } = openJournal(folder);
    try {
      const site = await loadSite(config, { secrets: false, registrations });
      const entries = await work(site, allOf(site));
      file.append(entries);
      for (const entry of entries) apply(site.registrations, entry);
      return [...allOf(site).values()];
    } finally {
      file.close();
    }
  } finally {
    lock.release();
  }
}

async function known({ config = 'gateway.yaml' }: Options): Promise<Known> {
  const answer = await askControl<DevicesAnswer>(findData(config), { ask: 'devices' });
  if (answer) return { running: true, devices: answer.devices };
  const site = await loadSite(config, { secrets: false });
  const lost = site.warnings.find(({ code }) => code === 'REGISTER_STORE');
  if (lost) throw lost;
  return { running: false, devices: [...allOf(site).values()] };
}

/** The register as the next start of the gateway will have it. */
function allOf(site: Site): Map<string, Registration> {
  const registrations = new Map(site.registrations);
  for (const entry of configuredEntries(registrations, configurationOf(site)))
    apply(registrations, { ...entry, ...now() });
  return registrations;
}

/** A command asks nobody whether the clock is set, but sees when it cannot be. */
function now(): Moment {
  const at = Date.now();
  return at < RELEASED ? { at, clock: assumedBase() } : { at };
}

/** `key=text`; commander has seen to its form. */
function pairOf(text: string): [string, string] {
  const at = text.indexOf('=');
  return [text.slice(0, at), text.slice(at + 1)];
}

/** A value as YAML has it: numbers and switches are what they look like. */
function scalarOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}
