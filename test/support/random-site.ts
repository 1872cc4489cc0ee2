/** Random sites that are valid, small, and mostly alike, so that two of them differ in a few things only. */
import { meterProfile, type SiteFolder, type Written } from './site-folder.js';

/** A random site, in a form that says by itself what it does. */
export interface RandomSite {
  readonly written: Written;
  /** Text of each rule file and profile, by its path. */
  readonly files: Readonly<Record<string, string>>;
  /** What is polled: device → port and unit. */
  readonly polled: Readonly<Record<string, readonly [port: number, unit: number]>>;
  /** What is sent: `<upstream>/<device>`. */
  readonly sent: readonly string[];
}

/** Where random sites find their devices and their broker. */
export interface Surroundings {
  /** Ports that answer Modbus TCP. */
  readonly ports: readonly number[];
  readonly url: string;
}

/** @param draw gives numbers between 0 and 1 */
export function randomSite(draw: () => number, { ports, url }: Surroundings): RandomSite {
  const pick = <T>(choices: readonly T[]): T =>
    (draw() < 0.7 ? choices[0] : choices[Math.floor(draw() * choices.length)]) as T;
  const some = <T>(choices: readonly T[]): T[] => choices.filter(() => draw() < 0.7);
  const connections: Record<string, object> = {};
  const portOf: Record<string, number> = {};
  for (const id of ['east', 'west', 'north']) {
    portOf[id] = pick(ports);
    connections[id] = { driver: 'modbus', tcp: `127.0.0.1:${portOf[id]}`, timeout: pick(['1s', '2s']) };
  }
  const devices: Record<string, object> = {};
  const polled: Record<string, [number, number]> = {};
  for (const [index, id] of ['a', 'b', 'c', 'd', 'e'].entries()) {
    if (draw() < 0.3) continue;
    const [connection, unit] = [pick(Object.keys(connections)), index + 1 + pick([0, 10])];
    devices[id] = { profile: pick(['test/one', 'test/two']), connection, unit, tags: { hall: pick(['x', 'y']) } };
    polled[id] = [portOf[connection] as number, unit];
  }
  const upstreams: Record<string, object> = {};
  for (const id of ['cloud', ...some(['site', 'lab'])])
    upstreams[id] = {
      url,
      version: '3.1.1',
      topic: 't/{upstream}/{device}',
      reconnect: { min: '10ms', max: '40ms' },
      client_id: `${id}-${pick([1, 2])}`,
      in_flight: pick([8, 32]),
      buffer: { flush: pick(['100ms', '1s']), size: pick(['1MB', '8MB']) },
    };
  const rules = some(['first', 'second', 'third']).map((title) => {
    const match = Object.keys(devices).length > 0 ? some(Object.keys(devices)) : [];
    return { title, match, to: pick(Object.keys(upstreams)), where: draw() < 0.5 };
  });
  const useful = rules.filter(({ match }) => match.length > 0);
  const text = useful.map(
    ({ title, match, to, where }) =>
      `- rule: ${title}\n  match: { device: [${match.join()}] }\n${where ? '  steps: [{ where: "value >= 0" }]\n' : ''}  send: ${to}\n`,
  );
  const all = Object.keys(upstreams).flatMap((to) => Object.keys(devices).map((device) => `${to}/${device}`));
  const chosen = useful.flatMap(({ match, to }) => match.map((device) => `${to}/${device}`));
  return {
    written: { connections, devices, upstreams, log: { level: pick(['info', 'debug']) } },
    files: {
      'device-profiles/test/one.yaml': meterProfile('test/one', pick(['40ms', '50ms'])),
      'device-profiles/test/two.yaml': meterProfile('test/two', pick(['40ms', '60ms'])),
      'rules/all.yaml': text.join(''),
    },
    polled,
    sent: [...new Set(useful.length > 0 ? chosen : all)].sort(),
  };
}

/** Writes it all. */
export function writeSite(folder: SiteFolder, { written, files }: RandomSite): void {
  for (const [name, text] of Object.entries(files)) folder.write(name, text);
  folder.say(written);
}
