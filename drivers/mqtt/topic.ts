/** Topics as profiles write them: `{topic}` stands for the device's own (MQTT 3.1.1 §4.7, MQTT 5 §4.7). */

/** What stands for the device's own topic in a template. */
export const PLACE = '{topic}';

/** The topic of a device. */
export function fill(template: string, topic: string): string {
  // A function: in a text, `$` would mean something.
  return template.replaceAll(PLACE, () => topic);
}

/** What is wrong with a topic that a device publishes on, or with a template of one; undefined when nothing is. */
export function faultOfTopic(text: string): string | undefined {
  const placeholder = /\{[^}]*\}?|\}/.exec(text.replaceAll(PLACE, ''))?.[0];
  if (placeholder !== undefined) return `"${placeholder}" means nothing here: the device's own topic is {topic}`;
  if (/[+#]/.test(text)) return 'a point has one topic, without + and #';
  if (text.startsWith('$share/')) return 'a shared subscription gets a part of the messages only: leave $share/… out';
  return faultOfName(text);
}

/** What is wrong with a topic filter of `discover`; undefined when nothing is. */
export function faultOfFilter(text: string): string | undefined {
  const levels = text.split('/');
  const ones = levels.filter((level) => level === '+' || level === PLACE).length;
  const own = levels.filter((level) => level === PLACE).length;
  if (own > 1) return '{topic} may stand once';
  if (ones === 0) return 'write + or {topic} for the level that differs from device to device, as in zigbee2mqtt/+';
  const other = levels.find((level) => level !== '+' && level !== PLACE && /[+#{}]/.test(level));
  if (other !== undefined) return `"${other}" cannot be a level: write +, {topic}, or a name without + # { }`;
  return faultOfName(text);
}

function faultOfName(text: string): string | undefined {
  if (text === '') return 'a topic is not empty';
  if (text.includes('\0')) return 'a topic has no NUL character';
  if (Buffer.byteLength(text) > 65_535) return 'a topic has at most 65535 bytes';
  return undefined;
}

/** Whether the levels of a topic are those of a filter of names and `+` (§4.7.1.3), none of them empty. */
export function fits(filter: readonly string[], levels: readonly string[]): boolean {
  if (levels.length !== filter.length) return false;
  return filter.every((level, at) => (level === '+' ? levels[at] !== '' : level === levels[at]));
}

/** A filter of `discover`, made ready. */
export interface DeviceFilter {
  /** To subscribe to. */
  readonly filter: string;
  /** The device's own topic, out of a topic that may match; undefined when it does not. */
  deviceOf(topic: string): string | undefined;
  /** True when what a device publishes on its own topic matches. */
  readonly whole: boolean;
}

/** `tele/{topic}/SENSOR` finds the device `{topic}`; a filter without `{topic}` the device whose topic ends with its last `+`. */
export function deviceFilter(written: string): DeviceFilter {
  const filter = fill(written, '+').split('/');
  const own = written.split('/').indexOf(PLACE);
  const last = filter.lastIndexOf('+');
  return {
    filter: filter.join('/'),
    whole: own < 0 && last === filter.length - 1,
    deviceOf(topic) {
      const levels = topic.split('/');
      if (topic.startsWith('$') || !fits(filter, levels)) return undefined;
      return own >= 0 ? levels[own] : levels.slice(0, last + 1).join('/');
    },
  };
}
