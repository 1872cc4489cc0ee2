/** News of devices. They go to every upstream and to the site's own broker, past the rules: those judge values. */
import { LOCAL } from '../config/broker.js';
import type { GatewayConfig, UpstreamConfig } from '../config/schema.js';
import type { DeviceNews } from '../devices/news.js';
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

/** Who hears of devices: places by name. */
export function listenersOf({ upstreams, broker }: Pick<GatewayConfig, 'upstreams' | 'broker'>): Map<string, string> {
  const places = Object.entries(upstreams).map(
    ([id, { url, device_topic }]) => [id, `${url} ${device_topic}`] as const,
  );
  return new Map(broker ? [...places, [LOCAL, LOCAL]] : places);
}

/** Those who hear of devices now and did not before. Another broker, or other topics, have heard nothing. */
export function newListeners(before: GatewayConfig, now: GatewayConfig): string[] {
  const known = listenersOf(before);
  return [...listenersOf(now)].filter(([id, place]) => place !== known.get(id)).map(([id]) => id);
}
