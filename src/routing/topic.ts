/** Topics of events: templates filled in for a device, within the limits of MQTT 3.1.1 §4.7. Their form is checked with the schemas. */
import type { Path, Source } from '../config/source.js';
import { hintFor } from '../config/suggest.js';
import { TidegateError } from '../errors.js';
import type { Device } from '../model.js';

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

/** Checks that every device for which the template at `path` will be filled in has its tags, and a topic that is not too long. */
export function checkTopic(
  template: string,
  source: Source,
  path: Path,
  devices: readonly TopicDevice[],
  problems: TidegateError[],
): void {
  for (const found of template.matchAll(PLACEHOLDER)) {
    const [whole, name = ''] = found;
    const tag = name.startsWith('tag.') ? name.slice(4) : undefined;
    const without = devices.find((device) => tag !== undefined && tagOf(device, tag) === undefined);
    if (tag === undefined || !without) continue;
    const tags = new Set(devices.flatMap((device) => Object.keys(device.tags)));
    const hint = tags.has(tag) ? 'give it the tag, or match only devices that have it' : hintFor(tag, tags);
    const place = source.placeWithin(path, found.index, whole.length);
    const message = `the device ${without.id} has no tag "${tag}"`;
    problems.push(new TidegateError('CONFIG_UNKNOWN_NAME', message, { place, ...(hint !== undefined && { hint }) }));
  }
  const long = devices.find((device) => {
    const topic = renderTopic(template, { gateway: 'g'.repeat(64), upstream: 'u'.repeat(64), device });
    return Buffer.byteLength(topic) > MOST_BYTES;
  });
  if (long)
    problems.push(source.problem('CONFIG_VALUE', path, `the topic for ${long.id} is longer than ${MOST_BYTES} bytes`));
}

function tagOf(device: TopicDevice, name: string): string | undefined {
  return Object.hasOwn(device.tags, name) ? device.tags[name] : undefined;
}

function clean(value: string): string {
  const levels = value.replace(/[+#\p{Cc}\p{Cs}]/gu, '_').split('/');
  return levels.filter((level) => level !== '').join('/') || '_';
}
