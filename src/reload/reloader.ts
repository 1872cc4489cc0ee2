/** Takes up a changed configuration: one reload after the other, each checked whole before anything changes, each told in the log. */
import type { Logger } from 'pino';
import { messageOf, ProblemList, TidegateError } from '../errors.js';
import { watchFiles } from '../ops/watch-files.js';
import { loadSite, type Site } from '../site.js';
import { type Changes, isEmpty, planReload, type ReloadPlan, summaryOf } from './plan.js';

/** What a reload did, or with `dryRun` would do. */
export interface ReloadReport {
  /** Path of the `gateway.yaml` that was read. */
  readonly file: string;
  readonly dryRun: boolean;
  readonly changes: Changes;
}

/** How to reload. */
export interface ReloadOptions {
  /** Who asks for it, for the log. */
  readonly by: 'request' | 'signal' | 'watch';
  /** Only say what would change. */
  readonly dryRun?: boolean;
}

/** What a reloader is given. */
export interface ReloaderOptions {
  /** The site that runs. */
  readonly site: Site;
  readonly log: Logger;
  /** The register of devices, as it is in memory. */
  registrations?(): Site['registrations'];
  /** Makes the plan's site the one that runs. @throws when it cannot; then nothing has changed */
  apply(plan: ReloadPlan): Promise<void>;
}

/** Takes up changes until it is closed. */
export interface Reloader {
  /**
   * Reads the configuration again, and runs it if it is sound.
   * @throws ProblemList or TidegateError; then the former goes on unchanged
   */
  reload(options: ReloadOptions): Promise<ReloadReport>;
  /**
   * Runs the site that `work` makes of the one that runs, in turn with reloads; no file is read.
   * @throws what `work` throws, and what is wrong with its site; then the former goes on unchanged
   */
  change(work: (site: Site) => Promise<Site>): Promise<Changes>;
  /** Takes up nothing more; resolves when a reload at work is done. */
  close(): Promise<void>;
}

const NOT_WATCHING = (): boolean => false;

/** Begins to watch the files of the site, if it says so. */
export function openReloader({ site: first, log, registrations, apply }: ReloaderOptions): Reloader {
  let site = first;
  let last: Promise<unknown> = Promise.resolve();
  let closed = false;
  /** What was wrong with the files when they were last looked at because they had changed. */
  let told = '';
  let unwatch = NOT_WATCHING;
  watchAnew(site.readFrom);

  return {
    reload: (options) => inTurn(() => reload(options)),
    change: (work) => inTurn(() => change(work)),
    async close() {
      closed = true;
      unwatch();
      await last;
    },
  };

  function inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
    const turn = last.then(() => {
      if (!closed) return work();
      const hint = 'Its next start reads the files anyway.';
      throw new TidegateError('GATEWAY_GONE', 'the gateway is stopping', { hint });
    });
    last = turn.catch(() => {});
    return turn;
  }

  async function reload({ by, dryRun = false }: ReloadOptions): Promise<ReloadReport> {
    let plan: ReloadPlan;
    let readFrom = site.readFrom;
    try {
      const loaded = await loadSite(site.file, {
        thorough: true,
        ...(registrations && { registrations: registrations() }),
        onRead: (from) => {
          readFrom = from;
        },
      });
      plan = planReload(site, loaded);
      if (!dryRun) await apply(plan);
    } catch (error) {
      if (!dryRun) {
        tell(error, by);
        // What is wrong may be mended where it is, also in a file that nothing named before.
        watchAnew(readFrom);
      }
      throw error;
    }
    const { changes } = plan;
    if (!dryRun) {
      ({ site } = plan);
      told = '';
      watchAnew(readFrom);
      if (!isEmpty(changes) || by !== 'watch') log.info({ by, ...listed(changes) }, `reloaded: ${summaryOf(changes)}`);
      for (const { code, message, place } of site.warnings) log.warn({ code, line: place?.line }, message);
    }
    return { file: site.file, dryRun, changes };
  }

  async function change(work: (site: Site) => Promise<Site>): Promise<Changes> {
    const plan = planReload(site, await work(site));
    await apply(plan);
    ({ site } = plan);
    const { changes } = plan;
    if (!isEmpty(changes)) log.info({ by: 'register', ...listed(changes) }, `reloaded: ${summaryOf(changes)}`);
    return changes;
  }

  /** Watches what was read last, if the site says so. What has changed since then, and was not told yet, is taken up. */
  function watchAnew(readFrom: Site['readFrom']): void {
    const endFormer = unwatch;
    unwatch = NOT_WATCHING;
    if (site.config.watch && !closed) unwatch = watchFiles({ ...readFrom, log, onChange: takeUp });
    // Not before: what the system has seen and nobody was told of yet is told to those who watch then.
    const untold = endFormer();
    if (untold && site.config.watch) takeUp();
  }

  function takeUp(): void {
    // What is wrong has been told.
    void inTurn(() => reload({ by: 'watch' })).catch(() => {});
  }

  /** A file that is written piece by piece is wrong again and again: the same is said once. */
  function tell(error: unknown, by: ReloadOptions['by']): void {
    const problems = error instanceof ProblemList ? error.errors : [error];
    const all = problems.map(messageOf).join('\n');
    if (by === 'watch' && all === told) return;
    told = all;
    log.error({ by, problems: problems.length }, 'not reloaded: the former configuration goes on');
    for (const problem of problems) {
      const { code, hint, place } = problem instanceof TidegateError ? problem : {};
      log.error({ code, file: place?.file, line: place?.line, column: place?.column, hint }, messageOf(problem));
    }
  }
}

/** The names of what changed, for the log. */
function listed(changes: Changes): object {
  const some = Object.entries(changes).map(([kind, { added, changed, removed }]) => {
    const names = [
      ...added.map((name) => `+${name}`),
      ...Object.keys(changed).map((name) => `~${name}`),
      ...removed.map((name) => `-${name}`),
    ];
    return [kind, names.join(' ')] as const;
  });
  return Object.fromEntries(some.filter(([, names]) => names !== ''));
}
