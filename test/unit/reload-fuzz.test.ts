import { isDeepStrictEqual } from 'node:util';
import { expect, test } from 'vitest';
import { planReload } from '../../src/reload/plan.js';
import { compileRouter, type Router } from '../../src/routing/router.js';
import { loadSite, type Site } from '../../src/site.js';
import { batch } from '../support/plant.js';
import { random } from '../support/random.js';
import { randomSite, writeSite } from '../support/random-site.js';
import { SiteFolder } from '../support/site-folder.js';

const PAIRS = 150;

function routerOf({ config, rules, devices }: Site, before?: Router): Router {
  const upstreams = Object.entries(config.upstreams).map(([id, { topic }]) => ({ id, topic }));
  return compileRouter({ gateway: config.gateway, rules, devices, upstreams, before });
}

/** All that a site says, without what stands for itself in it: files, drivers and compiled expressions. */
function meaning({ config, devices, connectionSettings, drivers, rules }: Site): object {
  return {
    config,
    devices,
    connectionSettings,
    drivers: [...drivers.keys()],
    rules: rules.map((rule) => ({
      ...rule,
      steps: rule.steps.map((step) => (step.kind === 'where' ? step.expression.text : step)),
    })),
  };
}

/** What the devices of a site make its router send. */
function sentBy(site: Site, router: Router): string[] {
  const sent: string[] = [];
  for (const device of site.devices)
    router.route(batch(device, 0, [7]), (upstream, { topic, lane, names }) =>
      sent.push(`${upstream} ${topic} ${lane} ${names}`),
    );
  return sent;
}

test(`${PAIRS} random changes: what runs afterwards is what a fresh start would run, and nothing equal is another object`, async () => {
  const draw = random(1);
  const folder = new SiteFolder();
  const load = () => {
    writeSite(folder, randomSite(draw, { ports: [1, 2], url: 'mqtt://127.0.0.1' }));
    return loadSite(folder.file, { thorough: true });
  };
  let old = await load();
  let router = routerOf(old);
  let untouched = 0;
  for (let pair = 0; pair < PAIRS; pair++) {
    const next = await load();
    const { site, changes } = planReload(old, next);
    expect(meaning(site)).toEqual(meaning(next));
    router = routerOf(site, router);
    expect(sentBy(site, router)).toEqual(sentBy(next, routerOf(next)));
    for (const device of site.devices) {
      const before = old.devices.find(({ id }) => id === device.id);
      expect(device === before).toBe(isDeepStrictEqual(device, before));
      if (device === before) untouched++;
    }
    for (const [id, upstream] of Object.entries(site.config.upstreams)) {
      const before = old.config.upstreams[id];
      expect(upstream === before).toBe(isDeepStrictEqual(upstream, before));
    }
    const { added, changed, removed, untouched: left } = changes.devices;
    expect(added.length + Object.keys(changed).length + left).toBe(next.devices.length);
    expect(old.devices.length - removed.length + added.length).toBe(next.devices.length);
    old = site;
  }
  // Sites that are all different would prove nothing about what stays.
  expect(untouched).toBeGreaterThan(PAIRS / 2);
});
