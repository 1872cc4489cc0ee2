/** Topic templates: `{gateway}`, `{device}`, `{profile}`, `{upstream}` and `{tag.NAME}`, within the limits of MQTT 3.1.1 §4.7. */
import type { Path, Source } from '../config/source.js';
import { hintFor } from '../config/suggest.js';
import { type SourcePlace, TidegateError } from '../errors.js';
import type { Device } from '../model.js';

const PLACEHOLDERS = ['gateway', 'device', 'profile', 'upstream'] as const;
const PLACEHOLDER = /\{([^{}]*)\}/g;
/** Bytes of UTF-8 that a topic may have (MQTT 3.1.1 §1.5.3). */
const MOST_BYTES = 65_535;

type TopicDevice = Pick<Device, 'id' | 'profile' | 'tags'>;

/** What fills a template. */
export interface TopicContext {
  readonly gateway: string;
  readonly upstream: string;
  readonly device: TopicDevice;
}

/**
 * The topic for one device. Values may span levels (a profile, a tag such as `plant/hall-3`), but cannot bring wildcards,
 * control characters or empty levels; what is missing or empty becomes `_`.
 */
export function renderTopic(template: string, context: TopicContext): string {
  const { gateway, upstream, device } = context;
  const values: Readonly<Record<string, string>> = { gateway, upstream, device: device.id, profile: device.profile };
  return template.replace(PLACEHOLDER, (_, name: string) =>
    clean((name.startsWith('tag.') ? tagOf(device, name.slice(4)) : values[name]) ?? ''),
  );
}

/**
 * Checks a template that stands at `path`: placeholders that exist, tags that every device it is for has, no wildcards.
 * @param devices the devices it will be rendered for; undefined when they are not known
 */
export function checkTopic(
  template: string,
  source: Source,
  path: Path,
  devices: readonly TopicDevice[] | undefined,
  problems: TidegateError[],
): void {
  const before = problems.length;
  const report = (
    code: 'CONFIG_VALUE' | 'CONFIG_UNKNOWN_NAME',
    from: number,
    length: number,
    message: string,
    hint?: string,
  ) => {
    const place: SourcePlace = source.placeWithin(path, from, length);
    problems.push(new TidegateError(code, message, { place, ...(hint !== undefined && { hint }) }));
  };
  for (const found of template.matchAll(PLACEHOLDER)) {
    const [whole, name = ''] = found;
    const known = name.startsWith('tag.') || (PLACEHOLDERS as readonly string[]).includes(name);
    if (!known) {
      const hint = hintFor(name, PLACEHOLDERS) ?? `known here: ${PLACEHOLDERS.join(', ')}, tag.NAME`;
      report('CONFIG_UNKNOWN_NAME', found.index, whole.length, `a topic has no placeholder {${name}}`, hint);
    } else if (name.startsWith('tag.')) {
      const tag = name.slice(4);
      const without = devices?.find((device) => tagOf(device, tag) === undefined);
      if (!without) continue;
      const tags = new Set(devices?.flatMap((device) => Object.keys(device.tags)));
      const message = `the device ${without.id} has no tag "${tag}"`;
      const hint = tags.has(tag) ? `give it the tag, or match only devices that have it` : hintFor(tag, tags);
      report('CONFIG_UNKNOWN_NAME', found.index, whole.length, message, hint);
    }
  }
  // What remains is literal text; placeholders are blanked out so that positions stay.
  const literal = template.replace(PLACEHOLDER, (whole) => ' '.repeat(whole.length));
  for (const { 0: character, index } of literal.matchAll(/[+#{}\0]/g)) {
    const brace = character === '{' || character === '}';
    const hint = brace ? 'write placeholders as {device}' : 'wildcards are for those who subscribe';
    report(
      'CONFIG_VALUE',
      index,
      1,
      `a topic to publish to cannot have ${JSON.stringify(character).slice(1, -1)}`,
      hint,
    );
  }
  if (problems.length > before) return;
  for (const device of devices ?? []) {
    const topic = renderTopic(template, { gateway: 'g'.repeat(64), upstream: 'u'.repeat(64), device });
    if (Buffer.byteLength(topic) <= MOST_BYTES) continue;
    problems.push(
      source.problem('CONFIG_VALUE', path, `the topic for ${device.id} is longer than ${MOST_BYTES} bytes`),
    );
    return;
  }
}

function tagOf(device: TopicDevice, name: string): string | undefined {
  return Object.hasOwn(device.tags, name) ? device.tags[name] : undefined;
}

function clean(value: string): string {
  const levels = value.replace(/[+#\p{Cc}\p{Cs}]/gu, '_').split('/');
  return levels.filter((level) => level !== '').join('/') || '_';
}
