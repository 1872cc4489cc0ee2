/** Devices that were found: which of the known ones it is, what a new one is called, and what gateway.yaml says of it. */
import { isDeepStrictEqual } from 'node:util';
import { compilePatterns, isName } from '../config/pattern.js';
import type { GatewayConfig } from '../config/schema.js';
import type { FoundDevice } from '../driver.js';
import type { Identity } from '../model.js';
import { isActive, type JournalEntry, type Moment, type Registration } from './registration.js';

/** A device that a found one may be. */
export interface Candidate {
  readonly id: string;
  readonly connection: string;
  readonly settings: unknown;
}

/** Most characters of a name or text in an identity, and of all of them: what a device says of itself is its own word. */
const LONGEST = 120;
const LONGEST_IDENTITY = 1_000;
/** Most characters of settings, as JSON. */
const LONGEST_SETTINGS = 2_000;
/** Most devices that wait for approval, and that were found and are in service: what announces itself must fill neither card nor memory. */
const MOST_PENDING = 200;
const MOST_FOUND = 1_000;

/** What a found device means for the register: which one it is, and what is new about it. */
export interface Judged {
  readonly id: string;
  /** Absent when nothing is new. */
  readonly entry?: Omit<JournalEntry, keyof Moment>;
}

/** Judges a device that was found. Gives why, when it is not kept. */
export function judgeFound(
  connection: string,
  found: FoundDevice,
  registrations: ReadonlyMap<string, Registration>,
  configured: readonly Candidate[],
): Judged | string {
  const settings = plain(found.settings);
  if (!settings) return 'a device was found that does not say how to reach it, or not in plain words: it is ignored';
  const profile = typeof found.profile === 'string' ? found.profile : undefined;
  const all = [...registrations.values()];
  const others = all.filter(({ origin }) => origin !== 'gateway.yaml');
  const same = sameDevice(connection, settings, configured) ?? sameDevice(connection, settings, others);
  const known = same && registrations.get(same.id);
  const identity = boundedIdentity({ ...known?.identity, ...found.identity });
  if (known) {
    const learnt = known.profile === undefined && profile !== undefined ? { profile } : {};
    const news = isDeepStrictEqual(identity, known.identity) ? learnt : { identity, ...learnt };
    if (Object.keys(news).length === 0) return { id: known.id };
    return { id: known.id, entry: { device: known.id, what: 'identified', set: news } };
  }
  if (same) return { id: same.id };
  if (all.filter(({ state }) => state === 'pending').length >= MOST_PENDING)
    return `${MOST_PENDING} devices wait for approval: no more are taken into the register`;
  if (all.filter(({ origin, state }) => origin === 'discovered' && isActive({ state })).length >= MOST_FOUND)
    return `${MOST_FOUND} devices that were found are in service: no more are taken into the register`;
  const id = nameFor(connection, found.name, settings, (taken) => registrations.has(taken));
  const set = { origin: 'discovered', connection, settings, identity, state: 'pending' } as const;
  return { id, entry: { device: id, what: 'found', set: { ...set, ...(profile !== undefined && { profile }) } } };
}

/** Settings as gateway.yaml could have them: a driver hands on what a device says. */
function plain(settings: unknown): FoundDevice['settings'] | undefined {
  try {
    const text = JSON.stringify(settings);
    const keys = JSON.parse(text.length > LONGEST_SETTINGS ? '{}' : text) as FoundDevice['settings'];
    return Object.keys(keys).length > 0 ? keys : undefined;
  } catch {
    return undefined;
  }
}

/** The one that is reached in the same way. */
function sameDevice(
  connection: string,
  settings: FoundDevice['settings'],
  among: readonly Candidate[],
): Candidate | undefined {
  const keys = Object.entries(settings);
  return among.find((one) => {
    const own = one.settings as Readonly<Record<string, unknown>>;
    return one.connection === connection && keys.every(([key, value]) => isDeepStrictEqual(own[key], value));
  });
}

/** What a device says of itself, as far as there is room for it. */
function boundedIdentity(identity: Identity): Identity {
  let room = LONGEST_IDENTITY;
  const facts: [string, string][] = [];
  for (const [name, text] of Object.entries(identity)) {
    const fact: [string, string] = [name.slice(0, LONGEST), String(text).slice(0, LONGEST)];
    room -= fact.join('').length;
    if (room < 0) break;
    facts.push(fact);
  }
  return Object.fromEntries(facts);
}

/** A name that is not taken: the one that the driver proposes, as far as a name may have its letters, else the connection and the settings. */
function nameFor(
  connection: string,
  name: unknown,
  settings: FoundDevice['settings'],
  taken: (id: string) => boolean,
): string {
  const words = Object.values(settings).filter((value) => typeof value !== 'object');
  const wanted = typeof name === 'string' ? name.slice(0, LONGEST) : [connection, ...words].join('-');
  const clean = wanted.replaceAll(/[^A-Za-z0-9._-]+/g, '-').replace(/^[^A-Za-z0-9]+/, '');
  const base = (clean || connection).slice(0, 56);
  if (!taken(base)) return base;
  for (let n = 2; ; n++) if (!taken(`${base}-${n}`)) return `${base}-${n}`;
}

/** The profile under which gateway.yaml lets a device register itself; undefined when a person must decide. */
export function admittedProfile(
  policy: GatewayConfig['register'],
  { connection, profile, identity }: { connection: string; profile?: string | undefined; identity: Identity },
): string | undefined {
  for (const rule of policy) {
    if (rule.connection !== connection) continue;
    const facts = Object.entries(rule.identity);
    const fits = facts.every(([name, patterns]) => {
      const text = Object.hasOwn(identity, name) ? identity[name] : undefined;
      return text !== undefined && compilePatterns(patterns)(text);
    });
    if (!fits) continue;
    // A device that does not say what it is gets the profile that is named; one that does must be what is allowed.
    const named = rule.profile.length === 1 && isName(rule.profile[0] ?? '') ? rule.profile[0] : undefined;
    const chosen = profile ?? named;
    if (chosen !== undefined && compilePatterns(rule.profile)(chosen)) return chosen;
  }
  return undefined;
}
