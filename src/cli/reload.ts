/** `tidegate reload`: the running gateway takes up a changed configuration. */
import { relative } from 'node:path';
import { outboxFolder } from '../delivery/status.js';
import { ProblemList, TidegateError } from '../errors.js';
import { askControl } from '../ops/control.js';
import { toJson } from '../ops/text.js';
import { summaryOf } from '../reload/plan.js';
import type { ReloadReport } from '../reload/reloader.js';
import { locate } from './data.js';
import { EXIT } from './exit.js';

/** Options as commander gives them. */
export interface ReloadFlags {
  readonly config?: string;
  readonly dryRun?: boolean;
  readonly json?: boolean;
}

/** Asks the running gateway to reload, and shows what has changed. Gives the exit code. @throws what is wrong with the configuration */
export async function reload({
  config = 'gateway.yaml',
  dryRun = false,
  json = false,
}: ReloadFlags = {}): Promise<number> {
  const { folder, problems } = locate(config);
  const report = await askControl<ReloadReport>(folder, { ask: 'reload', dryRun });
  if (report === undefined && problems.length > 0) throw new ProblemList(problems);
  if (report === undefined)
    throw new TidegateError('GATEWAY_GONE', `no gateway runs on the data folder ${folder}`, {
      hint: 'Start it: it reads the configuration then. One that is just starting can be asked in a moment.',
    });
  if (json) process.stdout.write(`${toJson({ ok: true, ...report })}\n`);
  else process.stdout.write(`${reportText(report, folder).join('\n')}\n`);
  return EXIT.ok;
}

function reportText({ dryRun, changes }: ReloadReport, folder: string): string[] {
  const outbox = (id: string) => relative('.', `${outboxFolder(folder)}/${id}.sqlite`);
  const lines = Object.entries(changes).flatMap(([kind, { added, changed, removed }]) => {
    const noun = kind.replace(/s$/, '');
    return [
      ...added.map((name) => `  + ${noun} ${name}`),
      ...Object.entries(changed).map(([name, keys]) => `  ~ ${noun} ${name} (${keys.join(', ')})`),
      ...removed.map(
        (name) => `  - ${noun} ${name}${kind === 'upstreams' ? `: what waits for it stays in ${outbox(name)}` : ''}`,
      ),
    ];
  });
  return [`${dryRun ? 'would reload' : 'reloaded'}: ${summaryOf(changes)}`, ...lines];
}
