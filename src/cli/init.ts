/** `tidegate init`: a commented `gateway.yaml` to start from. */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline/promises';
import { fileURLToPath } from 'node:url';
import { id } from '../config/schema.js';
import { messageOf, TidegateError } from '../errors.js';
import { EXIT } from './exit.js';

/** What the file needs to know. */
export interface Answers {
  readonly gateway: string;
  readonly device: string;
  readonly profile: string;
  readonly address: string;
  readonly unit: string;
  readonly broker: string;
}

/** For editors: completion and checks while typing. */
const SCHEMA = fileURLToPath(new URL('../../../schemas/gateway.schema.json', import.meta.url));

interface Question {
  readonly key: keyof Answers;
  readonly text: string;
  readonly fallback: () => string;
  /** Says what is wrong with an answer, or undefined. */
  readonly wrong: (answer: string) => string | undefined;
}

const anId = (answer: string) =>
  id.safeParse(answer).success ? undefined : 'Letters, digits, "-", "_" or "."; the first a letter or digit.';
const like = (pattern: RegExp, advice: string) => (answer: string) => (pattern.test(answer) ? undefined : advice);

const QUESTIONS: readonly Question[] = [
  { key: 'gateway', text: 'Name of this gateway', fallback: nameOfHost, wrong: anId },
  { key: 'device', text: 'Name of the first device', fallback: () => 'meter-1', wrong: anId },
  {
    key: 'profile',
    text: 'Its profile, <vendor>/<model>',
    fallback: () => 'eastron/sdm630',
    wrong: like(/^[a-z0-9._-]+\/[a-z0-9._-]+$/i, 'Such as eastron/sdm630: see the folder device-profiles.'),
  },
  {
    key: 'address',
    text: 'Its Modbus TCP address, host:port',
    fallback: () => '127.0.0.1:5020',
    wrong: like(/^[A-Za-z0-9._-]+(:\d{1,5})?$/, 'Such as 10.0.0.5:502.'),
  },
  {
    key: 'unit',
    text: 'Its unit id',
    fallback: () => '1',
    wrong: like(/^(\d|[1-9]\d|1\d\d|2[0-4]\d|25[0-5])$/, 'A number from 0 to 255.'),
  },
  {
    key: 'broker',
    text: 'MQTT broker, mqtt://host:port (mqtts:// for TLS)',
    fallback: () => 'mqtt://127.0.0.1:1883',
    wrong: like(/^mqtts?:\/\/[^/\s"]+$/, 'Such as mqtts://broker.example.com:8883.'),
  },
];

/** Writes `gateway.yaml` into a folder. Gives the exit code. */
export async function init(folder = '.', options: { yes?: boolean; force?: boolean } = {}): Promise<number> {
  const file = join(folder, 'gateway.yaml');
  if (existsSync(file) && !options.force)
    throw new TidegateError('USAGE', `${file} exists already`, { hint: '--force overwrites it.' });
  const answers = options.yes ? defaults() : await ask();
  try {
    mkdirSync(folder, { recursive: true });
    writeFileSync(file, gatewayYaml(answers));
  } catch (error) {
    throw new TidegateError('FILE_WRITE', `${file} cannot be written: ${messageOf(error)}`, { cause: error });
  }
  process.stdout.write(`${file} written. Next:

  tidegate check ${file}
  tidegate read ${answers.device} --config ${file}
  tidegate run ${file}

No device at hand? Serve a simulated one: tidegate simulate ${file} --port ${answers.address.split(':')[1] ?? 502}
`);
  return EXIT.ok;
}

function defaults(): Answers {
  return Object.fromEntries(QUESTIONS.map(({ key, fallback }) => [key, fallback()])) as unknown as Answers;
}

/** Asks one question after the other; an empty answer, or the end of the input, takes what is offered. */
async function ask(): Promise<Answers> {
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  const lines = terminal[Symbol.asyncIterator]();
  const answers: Record<string, string> = {};
  for (const { key, text, fallback, wrong } of QUESTIONS)
    for (;;) {
      process.stderr.write(`${text} [${fallback()}]: `);
      const { value, done } = await lines.next();
      const answer = (done ? '' : value.trim()) || fallback();
      const advice = wrong(answer);
      if (advice === undefined) {
        answers[key] = answer;
        break;
      }
      process.stderr.write(`  ${advice}\n`);
    }
  terminal.close();
  return answers as unknown as Answers;
}

function nameOfHost(): string {
  const name = hostname().split('.')[0] ?? '';
  return anId(name) === undefined ? name : 'gateway-1';
}

/** The file. Answers have been checked, so they can stand in YAML as they are, but for names that YAML takes for something else. */
function gatewayYaml(answers: Answers): string {
  const { profile, address, unit, broker } = answers;
  const [gateway, device] = [nameText(answers.gateway), nameText(answers.device)];
  return `# yaml-language-server: $schema=${SCHEMA}
# What this gateway reads, and where it delivers. Every key with its default: gateway.example.yaml

# Its name, unique among those that share a broker.
gateway: ${gateway}
# Folder for what waits to be delivered; relative to this file.
data: data

# One entry for each wire.
connections:
  field: { driver: modbus, tcp: "${address}" }

# One entry for each device: what it is (its profile), and where.
devices:
  ${device}: { profile: ${profile}, connection: field, unit: ${unit} }

# Where everything goes. Files in a folder rules/ beside this file can be choosier.
upstreams:
  cloud:
    url: ${broker}
    # username: \${env:MQTT_USERNAME}
    # password: \${file:/etc/tidegate/cloud.password}
    # topic: tidegate/{gateway}/{device}/telemetry
    # What may wait on disk through an outage.
    # buffer: { size: 256MB }
`;
}

/** Quoted where YAML 1.2 would read a number, a boolean or null. */
function nameText(name: string): string {
  return /^\d|^(true|false|null)$/i.test(name) ? `"${name}"` : name;
}
