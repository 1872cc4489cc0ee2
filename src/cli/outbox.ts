/** `tidegate outbox status`: what waits for each upstream, and what became of all that it was given. */
import { type Account, ENDS } from '../delivery/counters.js';
import { type OutboxFileStatus, readOutboxStatus } from '../delivery/status.js';
import { watchControl } from '../ops/control.js';
import { spanText } from '../ops/repeated.js';
import { printable, toJson } from '../ops/text.js';
import type { Snapshot, UpstreamStatus } from '../snapshot.js';
import { findSite } from './data.js';
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
  /** Refused for good by the upstream, and kept. */
  readonly rejected: number;
  /** False where gateway.yaml does not name the upstream any more: its events are kept. */
  readonly configured: boolean;
  /** State of the link; absent while no gateway runs. */
  readonly link?: string;
  /** Why it is not online, and what to do about it. */
  readonly reason?: string;
  /** Readings acknowledged per second; absent while no gateway runs. */
  readonly rate?: number;
  /** Seconds until the backlog is gone, and hours until something must give way, at the present rates. */
  readonly drainedIn?: number;
  readonly hoursLeft?: number;
  /** By lane, since the file was made. */
  readonly accounts: Readonly<Record<string, Account>>;
}

/** Asks the running gateway, or reads the files when none runs. Gives the exit code. */
export async function outboxStatus(options: { config?: string; json?: boolean } = {}): Promise<number> {
  const { folder, config } = findSite(options.config ?? 'gateway.yaml');
  const running = await fromGateway(folder);
  const outboxes =
    running ?? (await readOutboxStatus(folder)).map((file) => fromFile(file, file.id in config.upstreams));
  if (options.json) process.stdout.write(`${toJson({ running: running !== undefined, outboxes })}\n`);
  else process.stdout.write(`${statusText(outboxes, running !== undefined, folder).join('\n')}\n`);
  return EXIT.ok;
}

async function fromGateway(folder: string): Promise<OutboxStatus[] | undefined> {
  const stream = await watchControl<Snapshot>(folder);
  for await (const { upstreams, orphans } of stream ?? [])
    return [...upstreams.map(fromUpstream), ...orphans.map((file) => fromFile(file, false))];
  return undefined;
}

function fromUpstream({ id, waiting, inFlight, bytesOnDisk, rejections, ...rest }: UpstreamStatus): OutboxStatus {
  const { oldest, link, reason, rate, drainedIn, hoursLeft, accounts } = rest;
  const common = { id, configured: true, ...waiting, rejected: rejections?.kept ?? 0, inFlight, bytes: bytesOnDisk };
  return { ...common, oldest, link, reason, rate, drainedIn, hoursLeft, accounts };
}

function fromFile(
  { id, alarm, backlog, rejected, bytes, oldest, accounts }: OutboxFileStatus,
  configured: boolean,
): OutboxStatus {
  return { id, configured, alarm, live: 0, backlog, rejected, inFlight: 0, bytes, oldest, accounts };
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
    'rejected',
    'in flight',
    'on disk',
    'oldest',
    'readings/s',
    'drained in',
    'room for',
  ];
  const rows = outboxes.map((outbox) => [
    outbox.id,
    outbox.configured ? (outbox.link ?? '–') : 'not in gateway.yaml',
    countText(outbox.alarm),
    countText(outbox.live),
    countText(outbox.backlog),
    countText(outbox.rejected),
    countText(outbox.inFlight),
    bytesText(outbox.bytes),
    outbox.oldest === undefined ? '–' : spanText(Math.max(now - outbox.oldest, 0)),
    outbox.rate === undefined ? '–' : countText(outbox.rate),
    outbox.drainedIn === undefined ? '–' : spanText(outbox.drainedIn * 1000),
    outbox.hoursLeft === undefined ? '–' : spanText(outbox.hoursLeft * 3_600_000),
  ]);
  const reasons = outboxes.flatMap(({ id, reason }) => (reason === undefined ? [] : [`${id}: ${printable(reason)}`]));
  return [about, '', ...formatTable(head, rows, head.slice(2)), ...reasons, '', ...accountsText(outboxes)];
}

/** A line for each lane: what was accepted, and where it is now. */
function accountsText(outboxes: readonly OutboxStatus[]): string[] {
  const counts = ['accepted', 'waiting', ...ENDS] as const;
  const rows = outboxes.flatMap(({ id, accounts }) =>
    Object.entries(accounts).map(([lane, account]) => [id, lane, ...counts.map((count) => countText(account[count]))]),
  );
  return formatTable(['upstream', 'lane', ...counts], rows, counts);
}
