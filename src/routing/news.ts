/** News of devices. They go to every upstream, past the rules: those judge values. */
import type { UpstreamConfig } from '../config/schema.js';
import type { DeviceNews } from '../devices/register.js';
import type { DeviceEvent } from '../model.js';
import { renderTopic } from './topic.js';

/** The event for one upstream. */
export function deviceEvent(
  { tags, ...news }: DeviceNews,
  gateway: string,
  upstream: string,
  { device_topic: template }: UpstreamConfig,
): DeviceEvent {
  const device = { id: news.device, profile: news.profile ?? '', tags };
  return { kind: 'device', ...news, lane: 'alarm', topic: renderTopic(template, { gateway, upstream, device }) };
}
