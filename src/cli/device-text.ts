/** Devices of the register, and what happened to them, as people read it. */
import { isUnread, type JournalEntry, type Moment, type Registration, sinceOf } from '../devices/registration.js';
import { spanText } from '../ops/repeated.js';
import { printable, toJson } from '../ops/text.js';
import { formatTable } from './terminal.js';

/** All devices, and where they were learnt. */
export interface Known {
  readonly running: boolean;
  readonly devices: readonly Registration[];
}

/** Those that somebody should look at, first. */
const ORDER: readonly Registration['state'][] = ['pending', 'offline', 'degraded', 'online', 'disabled', 'retired'];

/** All devices, and what to do about those that wait. */
export function listText({ running, devices }: Known): string[] {
  const about = running ? 'From the running gateway.' : 'No gateway runs; as it was left.';
  if (devices.length === 0) return [about, 'No devices.'];
  const sorted = [...devices].sort((a, b) => ORDER.indexOf(a.state) - ORDER.indexOf(b.state) || (a.id < b.id ? -1 : 1));
  const rows = sorted.map((device) => [
    device.id,
    device.state,
    sinceText(device),
    device.profile ?? '–',
    device.connection,
    printable(Object.values(device.identity).join(' ')) || '–',
    device.origin === 'gateway.yaml' ? 'gateway.yaml' : device.origin === 'command' ? 'a command' : 'itself',
    printable(device.reason ?? ''),
  ]);
  const head = ['device', 'state', 'since', 'profile', 'connection', 'says it is', 'named by', 'why'];
  const waiting = sorted.find(({ state }) => state === 'pending');
  const next = waiting ? ['', `To take one into service: tidegate devices approve ${waiting.id}`] : [];
  return [about, '', ...formatTable(head, rows), ...next];
}

function sinceText(device: Registration): string {
  if (isUnread(device)) return '–';
  return device.clock ? '?' : spanText(Math.max(Date.now() - device.since, 0));
}

function timeText({ at, clock }: Moment): string {
  return new Date(at).toISOString() + (clock ? ' (clock not set)' : '');
}

/** All that is known of one. */
export function factsText(device: Registration): string[] {
  const { id, origin, connection, profile, tags, settings, identity, state, reason } = device;
  const rows: [string, string][] = [
    ['state', `${state}${reason === undefined ? '' : `: ${reason}`}`],
    ['since', timeText(sinceOf(device))],
    ['profile', profile ?? '–'],
    ['connection', connection],
    ['named by', origin],
    ...Object.entries(settings).map(([key, value]): [string, string] => [key, toJson(value)]),
    ...Object.entries(tags).map(([key, value]): [string, string] => [`tag ${key}`, value]),
    ...Object.entries(identity).map(([key, value]): [string, string] => [`its ${key}`, value]),
  ];
  const [, ...lines] = formatTable(
    ['', ''],
    rows.map(([name, text]) => [`  ${printable(name)}`, printable(text)]),
  );
  return [id, ...lines];
}

/** What happened, the last at the end. */
export function historyText(entries: readonly JournalEntry[]): string[] {
  return formatTable(['time', 'what', 'state', 'why'], entries.map(entryRow));
}

function entryRow(entry: JournalEntry): string[] {
  const { what, set, was, changes } = entry;
  const notes = [
    set.reason,
    was === undefined ? undefined : `called ${was} until then`,
    changes === undefined ? undefined : `the last of ${changes} changes`,
    set.profile === undefined ? undefined : `profile ${set.profile}`,
  ];
  return [timeText(entry), what, set.state ?? '', printable(notes.filter((note) => note !== undefined).join('; '))];
}
