/**
 * `tidegate outbox peek` and `export`: the events that are kept, read from the files. A gateway that runs is asked to write down what it has in
 * memory first. They stay there.
 */
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { idOf } from '../delivery/json-payload.js';
import { type KeptEvent, readEvents } from '../delivery/reader.js';
import { messageOf, TidegateError } from '../errors.js';
import { KEPT_LANES, type KeptLane } from '../model.js';
import { askControl } from '../ops/control.js';
import { loadSite } from '../site.js';
import { CSV_HEAD, csvOf, ndjsonOf, type Origin } from './event-formats.js';
import { EXIT } from './exit.js';
import { type Outboxes, type OutboxFile, openOutboxes } from './outboxes.js';
import { countText, valueText } from './quantity.js';
import { formatTable } from './terminal.js';

/** Which events. */
interface Choice {
  readonly config?: string;
  readonly upstream?: string;
  readonly lane?: KeptLane;
}

/** Most readings of an event in one line of `peek`. */
const SHOWN = 3;
/** Characters that are written at once. */
const CHUNK = 64_000;

/** Shows the oldest events of each lane. Gives the exit code. */
export async function peek(options: Choice & { count?: number } = {}): Promise<number> {
  const outboxes = openOutboxes(options);
  await save(outboxes);
  const rows: string[][] = [];
  for (const outbox of outboxes.chosen)
    for (const lane of lanesOf(options)) {
      let left = options.count ?? 10;
      for await (const event of eventsOf(outbox, [lane], outboxes)) {
        if (left-- === 0) break;
        rows.push(lineOf(event, outbox.id, outboxes.gateway));
      }
    }
  const head = ['upstream', 'lane', 'id', 'time', 'event'];
  const lines = rows.length > 0 ? formatTable(head, rows) : ['Nothing is kept.'];
  await toStdout([`${lines.join('\n')}\n`]);
  return EXIT.ok;
}

/** Writes all events to stdout or a file. Gives the exit code. */
export async function exportEvents(
  options: Choice & { format?: 'ndjson' | 'csv'; output?: string } = {},
): Promise<number> {
  const outboxes = openOutboxes(options);
  await save(outboxes);
  const { output } = options;
  let events = 0;
  const lines = async function* (): AsyncGenerator<string> {
    const csv = options.format === 'csv';
    if (csv) yield CSV_HEAD;
    const units = csv ? await unitsOf(outboxes.file) : new Map<string, string>();
    for (const outbox of outboxes.chosen) {
      const origin: Origin = { gateway: outboxes.gateway, upstream: outbox.id, units };
      for await (const event of eventsOf(outbox, lanesOf(options), outboxes)) {
        events++;
        yield csv ? csvOf(event, origin) : ndjsonOf(event, origin);
      }
    }
  };
  if (output === undefined) {
    await toStdout(lines());
    return EXIT.ok;
  }
  await toFile(lines(), output);
  process.stderr.write(`${countText(events)} events written to ${output}. They are still in the outbox.\n`);
  return EXIT.ok;
}

function lanesOf({ lane }: Choice): readonly KeptLane[] {
  return lane === undefined ? KEPT_LANES : [lane];
}

function eventsOf(outbox: OutboxFile, lanes: readonly KeptLane[], { gateway }: Outboxes): AsyncIterable<KeptEvent> {
  const topic = outbox.config?.gap_topic.replaceAll('{gateway}', gateway).replaceAll('{upstream}', outbox.id) ?? '';
  return outbox.path === undefined ? Readable.from([]) : readEvents(outbox.path, lanes, topic);
}

/** Has the gateway that runs, if one does, write down what it has in memory; says what cannot be seen all the same. */
async function save({ chosen, folder }: Outboxes): Promise<void> {
  for (const { id } of chosen) {
    const { inMemory = 0 } = (await askControl<{ inMemory: number }>(folder, { ask: 'save', upstream: id })) ?? {};
    if (inMemory > 0)
      process.stderr.write(
        `${id}: ${countText(inMemory)} more in the memory of the gateway: its disk does not take them.\n`,
      );
  }
}

function lineOf({ entry, rejection }: KeptEvent, upstream: string, gateway: string): string[] {
  const { event } = entry;
  const why = rejection ? `  (refused: ${rejection.reason})` : '';
  const time = new Date(event.at).toISOString() + (event.clock ? ' (clock not set)' : '');
  return [upstream, rejection ? 'rejected' : event.lane, idOf(entry, gateway), time, textOf(event) + why];
}

function textOf(event: KeptEvent['entry']['event']): string {
  if (event.kind === 'gap') return `gap: ${event.count === undefined ? '' : `${event.count} events, `}${event.cause}`;
  if (event.kind === 'device')
    return `${event.device}: ${event.what}, ${event.state}${event.reason === undefined ? '' : ` (${event.reason})`}`;
  const shown = event.names.slice(0, SHOWN).map((name, i) => `${name} ${valueText(event.values[i] ?? null)}`);
  const more = event.names.length - shown.length;
  return `${event.device}: ${shown.join(', ')}${more > 0 ? `, ${more} more` : ''}`;
}

/** Units by `device/point`, where the site can be loaded; an export goes on without them. */
async function unitsOf(file: string): Promise<Map<string, string>> {
  try {
    const { devices } = await loadSite(file, { secrets: false });
    return new Map(
      devices.flatMap(({ id, points }) => points.flatMap((p) => (p.unit ? [[`${id}/${p.id}`, p.unit] as const] : []))),
    );
  } catch (error) {
    process.stderr.write(`Units are left out: ${messageOf(error)} in ${file} or what it names (tidegate check).\n`);
    return new Map();
  }
}

/** Writes lines, many at once. A reader that has seen enough (`| head`) ends it quietly. */
async function toStdout(lines: Iterable<string> | AsyncIterable<string>): Promise<void> {
  try {
    await pipeline(chunked(lines), process.stdout, { end: false });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPIPE') throw error;
  }
}

async function toFile(lines: AsyncIterable<string>, path: string): Promise<void> {
  const file = createWriteStream(path, { flags: 'wx', mode: 0o640 });
  try {
    await once(file, 'open');
    await pipeline(chunked(lines), file);
  } catch (error) {
    if (error instanceof TidegateError) throw error;
    if ((error as NodeJS.ErrnoException).code === 'EEXIST')
      throw new TidegateError('USAGE', `${path} exists already`, { hint: 'Name another file.', cause: error });
    throw new TidegateError('FILE_WRITE', `cannot write ${path}: ${messageOf(error)}`, { cause: error });
  }
}

async function* chunked(lines: Iterable<string> | AsyncIterable<string>): AsyncGenerator<string> {
  let chunk = '';
  for await (const line of lines) {
    chunk += line;
    if (chunk.length < CHUNK) continue;
    yield chunk;
    chunk = '';
  }
  if (chunk !== '') yield chunk;
}
