import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import { openLog } from '../../src/ops/log.js';
import type { ReloadPlan } from '../../src/reload/plan.js';
import { openReloader } from '../../src/reload/reloader.js';
import { SiteFolder } from '../support/site-folder.js';
import { silent } from '../support/upstream.js';

test('a change that is wrong is mended where it is wrong, also in files that nothing named before', async () => {
  const folder = new SiteFolder();
  const site = await folder.load({ watch: true, broker: {} });
  const applied: string[] = [];
  const apply = async (plan: ReloadPlan) => void applied.push(plan.site.config.rules);
  const lines: string[] = [];
  const { log } = openLog({ level: 'info', to: (line) => void lines.push(line) });
  const reloader = openReloader({ site, log, apply });
  onTestFinished(() => reloader.close());
  // biome-ignore lint/suspicious/noTemplateCurlyInString: a placeholder as people write it
  const cloud = { url: 'mqtt://127.0.0.1', username: 'u', password: '${file:new/password}' };
  mkdirSync(join(folder.path, 'new'));
  folder.say({ watch: true, rules: 'new', broker: {}, upstreams: { cloud } });
  await vi.waitFor(() => expect(lines.join('')).toMatch(/"by":"watch".*not reloaded/), 5_000);
  folder.write('new/password', 'open sesame');
  await vi.waitFor(() => expect(applied).toEqual(['new']), 5_000);
});

test('a file that is written while a reload is at work is taken up after it', async () => {
  const folder = new SiteFolder();
  const saying = (level: string) => ({ watch: true, broker: {}, log: { level } });
  const site = await folder.load(saying('info'));
  const applied: string[] = [];
  const reloader = openReloader({ site, log: silent, apply });
  onTestFinished(() => reloader.close());
  async function apply(plan: ReloadPlan): Promise<void> {
    applied.push(plan.site.config.log.level);
    // Nobody can have been told of it when the reload ends.
    if (applied.length === 1) folder.say(saying('debug'));
  }
  await reloader.reload({ by: 'request' });
  await vi.waitFor(() => expect(applied).toEqual(['info', 'debug']), 5_000);
});
