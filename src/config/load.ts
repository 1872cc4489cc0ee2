/** Reads `gateway.yaml`. */
import { dirname } from 'node:path';
import type { ZodType } from 'zod';
import { ProblemList, type TidegateError } from '../errors.js';
import { findCertificates } from './certificates.js';
import { check } from './check.js';
import { findConflicts } from './conflicts.js';
import { connectionSchema, deviceSchema, type GatewayConfig, gatewaySchema, id, upstreamSchema } from './schema.js';
import { resolveSecrets } from './secrets.js';
import { type Path, Source } from './source.js';

/** What can be said of a `gateway.yaml` that may be wrong: its sound parts, all its names, all its problems. */
export interface ReadConfig {
  readonly config: GatewayConfig;
  readonly source: Source;
  /** What placeholders were replaced by: never to be logged. */
  readonly secrets: string[];
  /** Files that placeholders name. */
  readonly secretFiles: readonly string[];
  readonly problems: TidegateError[];
  /** Entries as written, also those that are wrong and so are not in `config`. */
  readonly written: Readonly<Record<Group, Readonly<Record<string, Keys>>>>;
}

type Keys = Readonly<Record<string, unknown>>;
type Group = 'connections' | 'devices' | 'upstreams';
const GROUPS: Readonly<Record<Group, ZodType>> = {
  connections: connectionSchema,
  devices: deviceSchema,
  upstreams: upstreamSchema,
};

/** Reads and checks `gateway.yaml`; goes on with the sound parts. @throws ProblemList when the file cannot be read as YAML */
export function readConfig(path: string): ReadConfig {
  const source = open(path);
  const problems: TidegateError[] = [];
  const { value, secrets, files: secretFiles } = resolveSecrets(source.value, source, dirname(path), problems);
  const config = check(gatewaySchema, source, value, [], problems);
  findConflicts(value, source, problems);
  const written = {
    connections: entriesOf(value, 'connections'),
    devices: entriesOf(value, 'devices'),
    upstreams: entriesOf(value, 'upstreams'),
  };
  const sound = config ?? soundParts(value, source);
  const withFiles = findCertificates(sound, dirname(path), source, problems);
  return { config: { ...sound, ...withFiles }, source, secrets, secretFiles, problems, written };
}

function open(path: string): Source {
  let source: Source;
  try {
    source = Source.read(path);
  } catch (error) {
    throw new ProblemList([error as TidegateError]);
  }
  if (source.errors.length > 0) throw new ProblemList([...source.errors]);
  return source;
}

/** The config without the entries and keys that are wrong, so that what depends on the others can be checked in the same run. */
function soundParts(value: unknown, source: Source): GatewayConfig {
  const sound = (schema: ZodType, part: unknown, path: Path) => check(schema, source, part, path, []);
  const written = recordOf(value);
  const head: Record<string, unknown> = { gateway: 'unknown' };
  for (const [key, schema] of Object.entries(gatewaySchema.shape as Record<string, ZodType>))
    if (key in written && !(key in GROUPS) && sound(schema, written[key], [key]) !== undefined)
      head[key] = written[key];
  const groups = Object.entries(GROUPS).map(([group, schema]) => {
    const entries = Object.entries(recordOf(written[group]))
      .filter(([key]) => id.safeParse(key).success)
      .map(([key, entry]) => [key, sound(schema, entry, [group, key])] as const);
    return [group, Object.fromEntries(entries.filter(([, entry]) => entry !== undefined))] as const;
  });
  return { ...gatewaySchema.parse(head), ...Object.fromEntries(groups) };
}

function entriesOf(value: unknown, group: Group): Record<string, Keys> {
  const entries = Object.entries(recordOf(recordOf(value)[group]));
  return Object.fromEntries(entries.map(([key, entry]) => [key, recordOf(entry)]));
}

function recordOf(value: unknown): Keys {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {};
}
