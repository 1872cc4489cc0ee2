/** gateway.example.yaml shows every key with its default. */
import { readFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { Source } from '../../src/config/source.js';
import { loadSite } from '../../src/site.js';

const FILE = 'gateway.example.yaml';
const source = Source.read(FILE);
/** Keys that are there behind a `#`. */
const COMMENTS = [...source.text.matchAll(/^ *# (\w+): /gm)].map(([, key]) => key);

beforeEach(() => {
  vi.stubEnv('TIDEGATE_CLOUD_PASSWORD', 'open sesame');
});
afterEach(() => {
  vi.unstubAllEnvs();
});

test('loads, without a warning', async () => {
  const site = await loadSite(FILE);
  expect(site.warnings).toEqual([]);
  expect(site.devices.map(({ id }) => id)).toEqual(['meter-1', 'meter-2', 'heat-pump', 'press', 'kitchen']);
  expect(site.secrets).toEqual(['open sesame']);
  expect(site.config.upstreams.cloud?.password).toBe('open sesame');
});

describe('every key is shown, with its default', () => {
  const schema = JSON.parse(readFileSync('schemas/gateway.schema.json', 'utf8')) as Node;
  const { connections, devices, upstreams } = schema.properties ?? {};
  const places: [place: string, path: string[], schema: Node | undefined][] = [
    ['top', [], schema],
    ['connections.ID, modbus', ['connections', 'meters'], connections?.additionalProperties?.anyOf?.[0]],
    ['connections.ID, opcua', ['connections', 'hall'], connections?.additionalProperties?.anyOf?.[1]],
    ['connections.ID, mqtt', ['connections', 'floor'], connections?.additionalProperties?.anyOf?.[2]],
    ['devices.ID, modbus', ['devices', 'meter-1'], devices?.additionalProperties?.anyOf?.[0]],
    ['devices.ID, opcua', ['devices', 'press'], devices?.additionalProperties?.anyOf?.[1]],
    ['devices.ID, mqtt', ['devices', 'kitchen'], devices?.additionalProperties?.anyOf?.[2]],
    ['broker', ['broker'], schema.properties?.broker],
    [
      'broker.users.ID',
      ['broker', 'users', 'dashboard'],
      schema.properties?.broker?.properties?.users?.additionalProperties,
    ],
    ['upstreams.ID', ['upstreams', 'cloud'], upstreams?.additionalProperties],
  ];

  test.each(places)('%s', (_, path, node) => {
    expect(Object.keys(node?.properties ?? {}).length).toBeGreaterThan(2);
    for (const { key, fallback, value } of keysOf(node as Node, valueAt(path))) {
      if (value === undefined) expect(COMMENTS, key).toContain(key);
      else if (fallback !== undefined && typeof fallback !== 'object') expect(value, key).toEqual(fallback);
    }
  });
});

/** The part of JSON Schema that is looked at. */
interface Node {
  readonly default?: unknown;
  readonly properties?: Record<string, Node>;
  readonly additionalProperties?: Node;
  readonly anyOf?: readonly Node[];
}

/** Keys and defaults of a schema beside what the example writes, down into objects. */
function keysOf(node: Node, value: unknown): { key: string; fallback: unknown; value: unknown }[] {
  return Object.entries(node.properties ?? {}).flatMap(([key, inner]) => {
    const written = (value as Record<string, unknown> | undefined)?.[key];
    return [{ key, fallback: inner.default, value: written }, ...keysOf(inner, written)];
  });
}

function valueAt(path: readonly string[]): unknown {
  return path.reduce<unknown>((value, key) => (value as Record<string, unknown>)[key], source.value);
}
