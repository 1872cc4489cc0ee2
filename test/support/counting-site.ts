/** A site of five devices that count, behind one connection, and one upstream: for `tidegate run`. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { meterProfile } from './site-folder.js';

/** A port that refuses. */
const NOWHERE = '127.0.0.1:9';

/** What a site is made of. */
export interface CountingSite {
  readonly folder: string;
  /** Port of the `CountingDevice`. */
  readonly device: number;
  /** Of the broker. */
  readonly url: string;
  /** Keys of the upstream, as in gateway.yaml. */
  readonly upstream?: object;
  /** How often each device is polled. */
  readonly every?: string;
  /** Keys of the connection, as in gateway.yaml. */
  readonly connection?: object;
  /** Also a device and an upstream that nobody answers for. */
  readonly more?: boolean;
}

/** Writes gateway.yaml and its profile; gives the path. State is kept in `folder` itself. */
export function writeCountingSite({
  folder,
  device,
  url,
  upstream = {},
  every = '20ms',
  connection,
  more,
}: CountingSite): string {
  mkdirSync(`${folder}/device-profiles/test`, { recursive: true });
  writeFileSync(`${folder}/device-profiles/test/counter.yaml`, meterProfile('test/counter', every));
  const units = [1, 2, 3, 4, 5];
  // JSON is YAML.
  const site = {
    gateway: 'g',
    data: '.',
    connections: {
      bus: { driver: 'modbus', tcp: `127.0.0.1:${device}`, ...connection },
      ...(more && { nowhere: { driver: 'modbus', tcp: NOWHERE } }),
    },
    devices: {
      ...Object.fromEntries(
        units.map((unit) => [`counter-${unit}`, { profile: 'test/counter', connection: 'bus', unit }]),
      ),
      ...(more && { absent: { profile: 'test/counter', connection: 'nowhere' } }),
    },
    upstreams: {
      cloud: { url, version: '3.1.1', reconnect: { min: '10ms', max: '40ms' }, ...upstream },
      ...(more && { other: { url: `mqtt://${NOWHERE}` } }),
    },
  };
  writeFileSync(`${folder}/gateway.yaml`, JSON.stringify(site, undefined, 2));
  return `${folder}/gateway.yaml`;
}
