#!/usr/bin/env node
// Writes what follows from the code: schemas/*.schema.json for editors, docs/errors.md, docs/reference.md, and the help texts in docs/cli.md.
// With --check it writes nothing and fails when a file is stale. Run it after a build.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { drivers as driverLoaders } from '../dist/drivers/index.js';
import { describeProgram } from '../dist/src/cli/program.js';
import { connectionSchema, deviceSchema, gatewaySchema } from '../dist/src/config/schema.js';
import { CODES } from '../dist/src/errors.js';
import { exampleSchema, pointSchema, profileSchema, repeatSchema } from '../dist/src/profiles/schema.js';
import { ruleTestFileSchema } from '../dist/src/routing/proof.js';
import { ruleFileSchema } from '../dist/src/routing/rule.js';
import { formatDuration, formatSize } from '../dist/src/units.js';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const drivers = await Promise.all(Object.values(driverLoaders).map((load) => load()));

const gateway = titled('gateway', 'gateway.yaml of Tidegate', gatewayWithDrivers());
const profile = titled('profile', 'Device profile of Tidegate', anyOf(drivers.map(profileFor)));
const rules = titled('rules', 'Rule file of Tidegate', jsonSchema(ruleFileSchema));
const ruleTests = titled('rule-tests', 'Rule tests of Tidegate', jsonSchema(ruleTestFileSchema));

const files = {
  'schemas/gateway.schema.json': json(gateway),
  'schemas/profile.schema.json': json(profile),
  'schemas/rules.schema.json': json(rules),
  'schemas/rule-tests.schema.json': json(ruleTests),
  'docs/errors.md': errorsPage(),
  'docs/reference.md': referencePage(),
  'docs/cli.md': cliPage(),
};

const stale = Object.entries(files).filter(([path, text]) => readOrEmpty(path) !== text);
if (process.argv.includes('--check')) {
  for (const [path] of stale) process.stderr.write(`${path} is stale: run npm run generate\n`);
  process.exitCode = stale.length > 0 ? 1 : 0;
} else
  for (const [path, text] of stale) {
    mkdirSync(join(root, dirname(path)), { recursive: true });
    writeFileSync(join(root, path), text);
    process.stdout.write(`${path} written\n`);
  }

// The command line

/** docs/cli.md with what `--help` prints now in place of what stands there. */
function cliPage() {
  return withHelp(readOrEmpty('docs/cli.md'), describeProgram(), []);
}

function withHelp(page, command, above) {
  const words = [...above, command.name()];
  const parts = [];
  command.configureOutput({ writeOut: (part) => parts.push(part), getOutHelpWidth: () => 100 });
  command.outputHelp();
  const name = words.join(' ');
  const block = new RegExp(`\`\`\`text\\n\\$ ${name} --help\\n[^]*?\`\`\``);
  const filled = page.replace(block, () => `\`\`\`text\n$ ${name} --help\n${parts.join('').trimEnd()}\n\`\`\``);
  return command.commands.reduce((text, child) => withHelp(text, child, words), filled);
}

// JSON Schemas

/** A zod schema as people write its input: durations and sizes with units, no bounds that only say "safe integer". */
function jsonSchema(schema) {
  const plain = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any', override: asWritten });
  delete plain.$schema;
  return plain;
}

function asWritten({ zodSchema, jsonSchema: node }) {
  if (zodSchema._zod.def.type === 'bigint') node.type = 'integer';
  if (Math.abs(node.maximum ?? 0) === Number.MAX_SAFE_INTEGER) delete node.maximum;
  if (Math.abs(node.minimum ?? 0) === Number.MAX_SAFE_INTEGER) delete node.minimum;
  const { type, defaultValue } = zodSchema._zod.def;
  if (type !== 'default' || node.type !== 'string' || typeof defaultValue !== 'number') return;
  node.default = node.pattern?.includes('ms|s|m|h|d') ? formatDuration(defaultValue) : formatSize(defaultValue);
}

/** Two objects as one: the keys that mean the same everywhere, and those of a driver. */
function merged(common, own, { required = true } = {}) {
  const all = { ...common, properties: { ...common.properties, ...own.properties }, additionalProperties: false };
  const names = [...(common.required ?? []), ...(own.required ?? [])];
  delete all.required;
  if (required && names.length > 0) all.required = names;
  return all;
}

function gatewayWithDrivers() {
  const schema = jsonSchema(gatewaySchema);
  const { connections, devices } = schema.properties;
  connections.additionalProperties = anyOf(
    drivers.map((driver) => {
      const wire = merged(jsonSchema(connectionSchema), jsonSchema(driver.connection));
      wire.properties.driver = { ...wire.properties.driver, const: driver.name };
      return wire;
    }),
  );
  devices.additionalProperties = anyOf(
    drivers.map((driver) => merged(jsonSchema(deviceSchema), jsonSchema(driver.device))),
  );
  return schema;
}

/** Keys of a point may come from `defaults` or the extended profile, so an editor cannot demand them. */
function pointFor(driver) {
  const point = merged(jsonSchema(pointSchema), jsonSchema(driver.address), { required: false });
  for (const node of Object.values(point.properties)) delete node.default;
  return { ...point, properties: { ...point.properties, repeat: jsonSchema(repeatSchema) } };
}

function profileFor(driver) {
  const schema = jsonSchema(profileSchema);
  const { properties } = schema;
  properties.driver = { ...properties.driver, const: driver.name };
  properties.device = {
    ...merged({ type: 'object' }, jsonSchema(driver.device), { required: false }),
    description: properties.device.description,
  };
  properties.defaults = { ...pointFor(driver), description: properties.defaults.description };
  const point = pointFor(driver);
  properties.points.additionalProperties = {
    anyOf: [{ ...point, properties: nullable(point.properties) }, { type: 'null' }],
  };
  properties.examples.items = merged(jsonSchema(exampleSchema), jsonSchema(driver.example));
  return schema;
}

/** Null in a point takes away what `defaults` or the extended profile give. */
function nullable(properties) {
  const either = ({ description, ...node }) => ({ description, anyOf: [node, { type: 'null' }] });
  return Object.fromEntries(Object.entries(properties).map(([key, node]) => [key, either(node)]));
}

function anyOf(schemas) {
  return schemas.length === 1 ? schemas[0] : { anyOf: schemas };
}

function titled(name, title, schema) {
  return { $schema: 'https://json-schema.org/draft/2020-12/schema', $id: `urn:tidegate:${name}`, title, ...schema };
}

function json(value) {
  return `${JSON.stringify(value, null, 2)}\n`;
}

// Pages

function errorsPage() {
  const next = {
    fix: 'a person must change something',
    reconnect: 'the link is gone, Tidegate opens another',
    reject: 'this item will never pass',
    retry: 'later may work',
  };
  const rows = Object.entries(CODES).map(
    ([code, { kind, means, todo }]) => `| \`${code}\` | ${kind} | ${cell(means)} | ${cell(todo)} |`,
  );
  return page('Errors', [
    'Every error that Tidegate tells has one of these codes. A code is never reused for another meaning.',
    `What happens next: ${Object.entries(next)
      .map(([kind, words]) => `**${kind}**, ${words}`)
      .join('; ')}.`,
    ['| code | next | what it means | what to do |', '|---|---|---|---|', ...rows].join('\n'),
  ]);
}

function referencePage() {
  const { connections, devices, upstreams, broker, ...top } = gateway.properties;
  const perDriver = (heading, schemaOf) =>
    drivers.flatMap((driver) => [
      `### ${heading} of the driver \`${driver.name}\` (${driver.title})`,
      table(jsonSchema(schemaOf(driver))),
    ]);
  return page('Reference', [
    'Every key that people write, with its default. Durations have units (`500ms`, `10s`, `15m`, `2h`, `30d`), sizes too (`64kB`, `256MB`, `2GB`). Files are YAML 1.2; a key that is not known is an error.',
    '## gateway.yaml',
    // biome-ignore lint/suspicious/noTemplateCurlyInString: it is what people write
    'In every text `${env:NAME}` stands for an environment variable and `${file:/path}` for what is in a file, relative to gateway.yaml.',
    table({ ...gateway, properties: top }),
    `### connections.ID\n\n${connections.description}`,
    table(jsonSchema(connectionSchema)),
    ...perDriver('connections.ID', (driver) => driver.connection),
    `### devices.ID\n\n${devices.description}`,
    table(jsonSchema(deviceSchema)),
    ...perDriver('devices.ID', (driver) => driver.device),
    `### broker\n\n${broker.description}`,
    table(broker),
    `### broker.users.ID\n\n${broker.properties.users.additionalProperties.description}`,
    table(broker.properties.users.additionalProperties),
    `### upstreams.ID\n\n${upstreams.description}`,
    table(upstreams.additionalProperties),
    '## Profiles',
    'One file per device type, `device-profiles/<vendor>/<model>.yaml`. How to write one: device-profiles/README.md.',
    table(jsonSchema(profileSchema)),
    '### points.ID and defaults',
    table({ ...jsonSchema(pointSchema), required: ['type'] }),
    ...perDriver('points.ID', (driver) => driver.address),
    '### points.ID.repeat',
    `${repeatSchema.description} With \`repeat: { count: 3, step: 2 }\`, \`voltage_l{n}\` at address 0 is \`voltage_l1\` at 0, \`voltage_l2\` at 2 and \`voltage_l3\` at 4.`,
    table(jsonSchema(repeatSchema)),
    '### examples[]',
    table(jsonSchema(exampleSchema)),
    ...perDriver('examples[]', (driver) => driver.example),
    '## Rules',
    'A file `rules/<topic>.yaml` is a list of rules.',
    table(rules.items),
    '## Rule tests',
    'A file `rules/<topic>.test.yaml` is a list of tests.',
    table(ruleTests.items),
  ]);
}

function table(schema) {
  return ['| key | type | default | meaning |', '|---|---|---|---|', ...rows(schema, '')].join('\n');
}

/** One row for each key; keys of objects inside follow theirs, with the path before them. */
function rows(schema, prefix) {
  return Object.entries(schema.properties ?? {}).flatMap(([key, node]) => {
    const path = `${prefix}${key}`;
    const inner = innerObjects(node, path);
    const needed = schema.required?.includes(key) && node.default === undefined;
    const fallback = needed ? '**needed**' : defaultOf(node);
    return [`| \`${path}\` | ${typeOf(node)} | ${fallback} | ${cell(node.description ?? '')} |`, ...inner];
  });
}

function innerObjects(node, path) {
  if (node.properties) return rows(node, `${path}.`);
  if (node.items?.properties) return rows(node.items, `${path}[].`);
  return (node.anyOf ?? []).flatMap((branch) => innerObjects(branch, path));
}

function defaultOf(node) {
  const value = node.default;
  if (value === undefined || (typeof value === 'object' && Object.keys(value).length === 0)) return '';
  return `\`${typeof value === 'string' ? value : JSON.stringify(value)}\``;
}

function typeOf(node) {
  if (node.const !== undefined) return `\`${node.const}\``;
  if (node.enum) return node.enum.map((value) => `\`${value}\``).join(' ');
  if (node.anyOf) return [...new Set(node.anyOf.map(typeOf))].join(' or ');
  if (node.pattern?.includes('ms|s|m|h|d')) return 'duration';
  if (node.pattern?.includes('kB|MB|GB')) return 'size';
  if (node.pattern?.includes('%$')) return 'percentage';
  if (node.type === 'integer' || node.type === 'number') return numberOf(node);
  if (node.type === 'array')
    return node.prefixItems ? `[${node.prefixItems.map(typeOf).join(', ')}]` : `list of ${typeOf(node.items ?? {})}`;
  if (node.type === 'object') return 'keys and values';
  if (node.type === 'boolean') return 'true or false';
  return { string: 'text', null: 'null' }[node.type] ?? 'any';
}

function numberOf({ type, minimum, maximum }) {
  const words = type === 'integer' ? 'whole number' : 'number';
  if (minimum !== undefined && maximum !== undefined) return `${words}, ${minimum} to ${maximum}`;
  return minimum === undefined ? words : `${words}, at least ${minimum}`;
}

function page(title, blocks) {
  const note = '<!-- Written by scripts/generate.mjs: change the code, then `npm run generate`. -->';
  return `${[`# ${title}`, note, ...blocks].join('\n\n')}\n`;
}

function cell(text) {
  return text.replaceAll('|', '\\|').replaceAll(/<([\w-]+)>/g, '&lt;$1&gt;');
}

function readOrEmpty(path) {
  const file = join(root, path);
  return existsSync(file) ? readFileSync(file, 'utf8') : '';
}
