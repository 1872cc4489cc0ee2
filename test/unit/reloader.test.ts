import { once } from 'node:events';
import { watch } from 'node:fs';
import { expect, onTestFinished, test, vi } from 'vitest';
import type { ReloadPlan } from '../../src/reload/plan.js';
import { openReloader } from '../../src/reload/reloader.js';
import { SiteFolder } from '../support/site-folder.js';
import { silent } from '../support/upstream.js';

test('a file that is written while a reload is at work is taken up after it', async () => {
  const folder = new SiteFolder();
  const saying = (level: string) => ({ watch: true, broker: {}, log: { level } });
  const site = await folder.load(saying('info'));
  const applied: string[] = [];
  const reloader = openReloader({ site, log: silent, apply });
  onTestFinished(() => reloader.close());
  async function apply(plan: ReloadPlan): Promise<void> {
    applied.push(plan.site.config.log.level);
    if (applied.length > 1) return;
    const watcher = watch(folder.path);
    folder.say(saying('debug'));
    // Whoever watches the same has seen it too.
    await once(watcher, 'change');
    watcher.close();
  }
  await reloader.reload({ by: 'request' });
  await vi.waitFor(() => expect(applied).toEqual(['info', 'debug']), 5_000);
});
