/** `tidegate outbox requeue` and `purge`: done by the running gateway, or to the files while none runs. */
import { createInterface } from 'node:readline/promises';
import type { UpstreamConfig } from '../config/schema.js';
import { limitsOf } from '../delivery/budget.js';
import { type ClosedOutbox, type Purged, purgeClosed, requeueClosed } from '../delivery/closed-outbox.js';
import { readOutboxStatus } from '../delivery/status.js';
import { openStore } from '../delivery/store.js';
import { TidegateError } from '../errors.js';
import { KEPT_LANES, type KeptLane } from '../model.js';
import { watchClock } from '../ops/clock.js';
import { askControl } from '../ops/control.js';
import { lockData } from '../ops/lock.js';
import { openLog } from '../ops/log.js';
import { RELEASED } from '../version.js';
import { EXIT } from './exit.js';
import { type Outboxes, type OutboxFile, openOutboxes } from './outboxes.js';
import { countText } from './quantity.js';

/** Takes what was refused for good back into the outbox. Gives the exit code. */
export async function requeue(options: { config?: string; upstream?: string } = {}): Promise<number> {
  const outboxes = openOutboxes(options);
  const { chosen, folder } = outboxes;
  if (options.upstream !== undefined && chosen[0]?.config === undefined)
    throw new TidegateError('USAGE', `${options.upstream} is not in gateway.yaml: nobody would send its events`, {
      hint: 'Put the upstream back first.',
    });
  let events = 0;
  for (const { id, path, config } of chosen) {
    if (path === undefined || config === undefined) continue;
    const answer = await askControl<{ events: number }>(folder, { ask: 'requeue', upstream: id });
    const moved = answer?.events ?? (await onFile(folder, path, config, requeueClosed));
    if (moved > 0) say(`${id}: ${countText(moved)} events are back in the outbox.`);
    events += moved;
  }
  if (events === 0) say('Nothing to requeue: no refused event is kept.');
  return EXIT.ok;
}

/** Removes events for good, once a person has said yes. Gives the exit code. */
export async function purge(
  options: { config?: string; upstream?: string; lane?: KeptLane; yes?: boolean } = {},
): Promise<number> {
  const outboxes = openOutboxes(options);
  const lanes = options.lane === undefined ? KEPT_LANES : [options.lane];
  const targets = outboxes.chosen.filter(({ path }) => path !== undefined);
  const found = await describe(outboxes, targets, lanes);
  if (targets.length === 0) {
    say('Nothing to purge.');
    return EXIT.ok;
  }
  if (!options.yes && !(await confirm(found))) {
    say('Nothing was removed.');
    return EXIT.failed;
  }
  for (const target of targets) say(resultText(target.id, await purgeOne(outboxes, target, lanes)));
  return EXIT.ok;
}

async function purgeOne({ folder }: Outboxes, { id, path = '', config }: OutboxFile, lanes: readonly KeptLane[]) {
  const answer = await askControl<Purged>(folder, { ask: 'purge', upstream: id, lanes });
  return answer ?? onFile(folder, path, config, (outbox) => purgeClosed(outbox, lanes));
}

/** What is about to go, as far as the files tell. */
async function describe(
  { folder }: Outboxes,
  targets: readonly OutboxFile[],
  lanes: readonly KeptLane[],
): Promise<string[]> {
  const files = await readOutboxStatus(folder, (id) => targets.some((target) => target.id === id));
  return files.map(({ id, alarm, backlog, rejected }) => {
    const counts = { alarm, live: backlog, rejected };
    return `${id}: ${lanes.map((lane) => `${countText(counts[lane])} ${lane}`).join(', ')}`;
  });
}

async function confirm(found: readonly string[]): Promise<boolean> {
  if (!process.stdin.isTTY)
    throw new TidegateError('USAGE', 'purge removes events for good, and nobody is at the terminal to say yes', {
      hint: '--yes says so. `tidegate outbox export` keeps a copy.',
    });
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  process.stderr.write(`To be removed for good (events on disk now, by lane):\n  ${found.join('\n  ')}\n`);
  const answer = await terminal.question('Remove them? [y/N] ');
  terminal.close();
  return /^y(es)?$/i.test(answer.trim());
}

function resultText(id: string, { events, fileRemoved }: Purged): string {
  const counts = Object.entries(events).map(([lane, count]) => `${countText(count)} ${lane}`);
  return `${id}: removed ${counts.join(', ')}${fileRemoved ? '; its file is gone' : ''}.`;
}

/** Works on a file itself: no gateway may run meanwhile. */
async function onFile<Result>(
  folder: string,
  path: string,
  config: UpstreamConfig | undefined,
  work: (outbox: ClosedOutbox) => Promise<Result>,
): Promise<Result> {
  const lock = await lockData(folder);
  const store = openStore();
  const { log } = openLog({ level: 'silent' });
  const clock = watchClock({ log, notBefore: RELEASED });
  try {
    return await work({ store, path, limits: config && limitsOf(config.buffer), clock });
  } finally {
    clock.stop();
    await store.close();
    lock.release();
  }
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}
