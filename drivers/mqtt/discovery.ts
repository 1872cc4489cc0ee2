/** Devices that show themselves: on topics that `discover_topics` names, and by the announcements of their ecosystems. */
import { isDeepStrictEqual } from 'node:util';
import type { DriverContext, FoundDevice } from '../../src/driver.js';
import { ANNOUNCED, type Announcement, announcementsIn } from './announcement.js';
import type { MqttConnection } from './schema.js';
import { type DeviceFilter, deviceFilter } from './topic.js';
import { Wire } from './wire.js';

/** Most devices that are told of, and the longest topic that one may have: topics are free to invent. */
const MOST = 10_000;
const LONGEST = 256;

/**
 * Listens on a connection of its own, so that messages that match more than one subscription do not come twice to anybody.
 * @throws TidegateError LINK_DOWN, LINK_REFUSED
 */
export async function discover(
  connection: MqttConnection,
  context: DriverContext,
  found: (device: FoundDevice) => void,
): Promise<Wire> {
  const wire = await Wire.open(connection, context, 'discover');
  const catalogue = new Catalogue(connection.discover_topics, context.log, found);
  wire.onMessage = (topic, payload) => catalogue.take(topic, payload);
  const wanted = catalogue.filters;
  const refused = await wire.subscribe([...wanted, ...ANNOUNCED]);
  for (const [topic, reason] of refused)
    if (wanted.includes(topic)) context.log.warn({ topic }, reason);
    else context.log.debug({ topic }, reason);
  return wire;
}

/** What is known of a device: that it was seen, by which filter, and what was announced of it. */
interface Known {
  profile: string | undefined;
  announced: Announcement | undefined;
  told: FoundDevice | undefined;
}

class Catalogue {
  readonly #written: readonly { readonly filter: DeviceFilter; readonly profile: string }[];
  readonly #log: DriverContext['log'];
  readonly #found: (device: FoundDevice) => void;
  /** By the device's own topic. */
  readonly #devices = new Map<string, Known>();
  /** Topics of messages that have told all that they can. */
  readonly #heard = new Set<string>();

  constructor(
    written: MqttConnection['discover_topics'],
    log: DriverContext['log'],
    found: (device: FoundDevice) => void,
  ) {
    this.#written = Object.entries(written).map(([text, profile]) => ({ filter: deviceFilter(text), profile }));
    this.#log = log;
    this.#found = found;
  }

  /** To subscribe to. */
  get filters(): string[] {
    return [...new Set(this.#written.map(({ filter }) => filter.filter))];
  }

  take(topic: string, bytes: Buffer): void {
    if (this.#heard.has(topic) || bytes.length === 0 || topic.length > LONGEST) return;
    const announced = announcementsIn(topic, bytes);
    for (const one of announced) this.#announce(one);
    if (announced.length > 0) return;
    for (const { filter, profile } of this.#written) {
      const device = filter.deviceOf(topic);
      if (device === undefined) continue;
      if (this.#heard.size < MOST) this.#heard.add(topic);
      const known = this.#know(device);
      if (!known) return;
      known.profile ??= profile;
      this.#tell(device, known);
      return;
    }
  }

  #announce(announced: Announcement): void {
    const { topic } = announced;
    const known = this.#know(topic);
    if (!known) return;
    known.announced = announced;
    known.profile ??= this.#written.find(({ filter }) => filter.whole && filter.deviceOf(topic) === topic)?.profile;
    this.#tell(topic, known);
  }

  #know(topic: string): Known | undefined {
    const before = this.#devices.get(topic);
    if (before) return before;
    if (this.#devices.size >= MOST) return undefined;
    const known: Known = { profile: undefined, announced: undefined, told: undefined };
    this.#devices.set(topic, known);
    if (this.#devices.size === MOST) this.#log.warn(`${MOST} devices have shown themselves: no more are told of`);
    return known;
  }

  /** Tells of a device, when there is news of it. */
  #tell(topic: string, known: Known): void {
    const { announced, profile } = known;
    const device: FoundDevice = {
      settings: { topic },
      identity: announced?.identity ?? {},
      name: nameOf(announced?.name ?? topic.split('/').at(-1) ?? topic),
      ...(profile !== undefined && { profile }),
    };
    if (isDeepStrictEqual(device, known.told)) return;
    known.told = device;
    this.#found(device);
  }
}

/** As an id of gateway.yaml: letters, digits, `-`, `_` and `.`. */
function nameOf(text: string): string {
  const plain = text.normalize('NFKD').replaceAll(/[\u0300-\u036f]/g, '');
  const id = plain
    .replaceAll(/[^A-Za-z0-9._-]+/g, '-')
    .replaceAll(/^[^A-Za-z0-9]+|-+$/g, '')
    .slice(0, 64);
  return id === '' ? 'device' : id;
}
