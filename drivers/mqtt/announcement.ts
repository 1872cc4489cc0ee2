/** How devices introduce themselves, each ecosystem in its own way: to the device's own topic and what it says of itself. */
import { Payload, Unfit } from './payload.js';
import { lookUp } from './pointer.js';
import { fits } from './topic.js';

/** One device that was announced. */
export interface Announcement {
  /** The device's own topic. */
  readonly topic: string;
  readonly identity: Readonly<Record<string, string>>;
  /** What people call it. */
  readonly name?: string | undefined;
}

/** Who is announced by a payload; `first` is the first level of its topic. */
type Read = (json: object, first: string) => Announcement[];

const READERS: readonly (readonly [filter: string, read: Read])[] = [
  ['+/bridge/devices', zigbee],
  ['shellies/announce', (json) => shelly(json)],
  ['shellies/+/announce', (json) => shelly(json)],
  ['+/announce', shelly],
  ['tasmota/discovery/+/config', tasmota],
  ['esphome/discover/+', esphome],
  ['homeassistant/+/+/config', homeAssistant],
  ['homeassistant/+/+/+/config', homeAssistant],
];

/** Topics on which devices, or what speaks for them, introduce themselves. */
export const ANNOUNCED: readonly string[] = READERS.map(([filter]) => filter);

/** Who is announced by a message; nobody when it is none of these, or not as it should be. */
export function announcementsIn(topic: string, bytes: Buffer): Announcement[] {
  const levels = topic.split('/');
  const [, read] = READERS.find(([filter]) => fits(filter.split('/'), levels)) ?? [];
  if (!read) return [];
  const { json } = new Payload(bytes);
  if (typeof json !== 'object' || json === null || json instanceof Unfit) return [];
  return read(json, levels[0] as string);
}

/** Zigbee2MQTT: all devices of the bridge. */
function zigbee(json: object, base: string): Announcement[] {
  if (!Array.isArray(json)) return [];
  return json.flatMap((device: unknown) => {
    const at = (...steps: string[]): string | undefined => text(device, ...steps);
    const name = at('friendly_name');
    if (name === undefined || at('type') === 'Coordinator' || !isTopic(name)) return [];
    const identity = known({
      vendor: at('definition', 'vendor') ?? at('manufacturer'),
      model: at('definition', 'model') ?? at('model_id'),
      firmware: at('software_build_id'),
      serial_number: at('ieee_address'),
      description: at('definition', 'description'),
    });
    return [{ topic: `${base}/${name}`, identity, name }];
  });
}

/** Shelly: the first generation below `shellies/`, later ones under their own prefix, by default their id. */
function shelly(json: object, prefix?: string): Announcement[] {
  const id = text(json, 'id');
  const mac = text(json, 'mac');
  if (id === undefined || mac === undefined || !isTopic(id)) return [];
  const later = text(json, 'gen') !== undefined;
  const identity = known({
    vendor: 'Shelly',
    model: text(json, 'model') ?? text(json, 'app'),
    firmware: text(json, 'fw_ver') ?? text(json, 'ver'),
    serial_number: mac,
  });
  return [{ topic: prefix ?? (later ? id : `shellies/${id}`), identity, name: text(json, 'name') ?? id }];
}

/** Tasmota: `t` is its topic, `md` the module, `sw` the version. */
function tasmota(json: object): Announcement[] {
  const topic = text(json, 't');
  if (topic === undefined || !isTopic(topic)) return [];
  const identity = known({
    vendor: 'Tasmota',
    model: text(json, 'md'),
    firmware: text(json, 'sw'),
    serial_number: text(json, 'mac'),
  });
  return [{ topic, identity, name: text(json, 'dn') ?? topic }];
}

/** ESPHome: the name of the node is its topic prefix unless that was written. */
function esphome(json: object): Announcement[] {
  const topic = text(json, 'name');
  if (topic === undefined || !isTopic(topic)) return [];
  const identity = known({
    vendor: 'ESPHome',
    model: text(json, 'board'),
    firmware: text(json, 'version'),
    serial_number: text(json, 'mac'),
  });
  return [{ topic, identity, name: text(json, 'friendly_name') ?? topic }];
}

const ESPHOME_STATE = /^(.+)\/[a-z_]+\/[^/]+\/state$/;

/** Home Assistant's discovery, which ESPHome speaks: the prefix is what stands before the default topic of an entity. */
function homeAssistant(json: object): Announcement[] {
  const of = (...names: string[]): string | undefined =>
    names.map((name) => text(json, 'dev', name) ?? text(json, 'device', name)).find((found) => found !== undefined);
  const firmware = of('sw', 'sw_version');
  const state = text(json, 'stat_t') ?? text(json, 'state_topic') ?? '';
  const [, topic] = ESPHOME_STATE.exec(state.replace(/^~/, () => text(json, '~') ?? '')) ?? [];
  if (topic === undefined || !/esphome/i.test(firmware ?? '') || !isTopic(topic)) return [];
  const identity = known({
    vendor: 'ESPHome',
    model: of('mdl', 'model'),
    firmware,
    serial_number: of('ids', 'identifiers'),
  });
  return [{ topic, identity, name: of('name') ?? topic }];
}

/** Longest text: strangers may say anything, and each of them is remembered. */
const LONGEST = 200;

/** A text of the document, of a number or of the first of a list too; none when it is too long to be a name. */
function text(document: unknown, ...steps: string[]): string | undefined {
  const found = lookUp(document, steps);
  const value = Array.isArray(found) ? found[0] : found;
  if (typeof value === 'number') return String(value);
  return typeof value === 'string' && value.trim() !== '' && value.length <= LONGEST ? value : undefined;
}

function known(identity: Readonly<Record<string, string | undefined>>): Record<string, string> {
  const entries = Object.entries(identity).filter((entry): entry is [string, string] => entry[1] !== undefined);
  return Object.fromEntries(entries);
}

function isTopic(name: string): boolean {
  return !/[+#{}\0]/.test(name);
}
