/** `tidegate outbox status`: what waits for each upstream. */
import { readOutboxStatus } from '../delivery/status.js';
import type { Snapshot } from '../gateway.js';
import { watchControl } from '../ops/control.js';
import { spanText } from '../ops/repeated.js';
import { toJson } from '../ops/text.js';
import { findData } from './data.js';
import { EXIT } from './exit.js';
import { bytesText, countText } from './quantity.js';
import { formatTable } from './terminal.js';

/** One upstream's outbox, wherever it was learnt. */
interface OutboxStatus {
  readonly id: string;
  /** Events. */
  readonly alarm: number;
  readonly live: number;
  readonly backlog: number;
  readonly inFlight: number;
  /** Bytes on disk. */
  readonly bytes: number;
  /** Time of the oldest waiting event, milliseconds since 1970. */
  readonly oldest?: number;
  /** State of the link; absent while no gateway runs. */
  readonly link?: string;
  /** Events removed since the start, and reported upstream; absent while no gateway runs. */
  readonly removed?: number;
  /** Seconds until the backlog is gone, and hours until the file is full, at the present rates. */
  readonly drainedIn?: number;
  readonly hoursLeft?: number;
}

/** Asks the running gateway, or reads the files when none runs. Gives the exit code. */
export async function outboxStatus(options: { config?: string; json?: boolean } = {}): Promise<number> {
  const folder = findData(options.config ?? 'gateway.yaml');
  const running = await fromGateway(folder);
  const outboxes = running ?? (await fromFiles(folder));
  if (options.json) process.stdout.write(`${toJson({ running: running !== undefined, outboxes })}\n`);
  else process.stdout.write(`${statusText(outboxes, running !== undefined, folder).join('\n')}\n`);
  return EXIT.ok;
}

async function fromGateway(folder: string): Promise<OutboxStatus[] | undefined> {
  const stream = await watchControl<Snapshot>(folder);
  for await (const { upstreams } of stream ?? [])
    return upstreams.map(
      ({ id, waiting, inFlight, bytesOnDisk: bytes, oldest, link, dropped, rejected, drainedIn, hoursLeft }) => {
        const removed = dropped + rejected;
        return { id, ...waiting, inFlight, bytes, oldest, link, removed, drainedIn, hoursLeft };
      },
    );
  return undefined;
}

async function fromFiles(folder: string): Promise<OutboxStatus[]> {
  const files = await readOutboxStatus(folder);
  return files.map(({ id, alarm, backlog, bytes, oldest }) => ({
    id,
    alarm,
    live: 0,
    backlog,
    inFlight: 0,
    bytes,
    oldest,
  }));
}

function statusText(outboxes: readonly OutboxStatus[], running: boolean, folder: string): string[] {
  const about = running ? 'From the running gateway.' : `No gateway runs; from the files in ${folder}.`;
  if (outboxes.length === 0) return [about, 'No outboxes.'];
  const now = Date.now();
  const head = [
    'upstream',
    'link',
    'alarm',
    'live',
    'backlog',
    'in flight',
    'on disk',
    'oldest',
    'drained in',
    'full in',
    'removed',
  ];
  const rows = outboxes.map((outbox) => [
    outbox.id,
    outbox.link ?? '–',
    countText(outbox.alarm),
    countText(outbox.live),
    countText(outbox.backlog),
    countText(outbox.inFlight),
    bytesText(outbox.bytes),
    outbox.oldest === undefined ? '–' : spanText(Math.max(now - outbox.oldest, 0)),
    outbox.drainedIn === undefined ? '–' : spanText(outbox.drainedIn * 1000),
    outbox.hoursLeft === undefined ? '–' : spanText(outbox.hoursLeft * 3_600_000),
    outbox.removed === undefined ? '–' : countText(outbox.removed),
  ]);
  return [about, '', ...formatTable(head, rows, head.slice(2))];
}
