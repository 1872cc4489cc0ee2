/** `tidegate run`: the gateway itself, until it is told to stop. */
import { startGateway } from '../gateway.js';
import { openSystemd } from '../ops/systemd.js';
import { loadSite, type Site } from '../site.js';
import { EXIT } from './exit.js';
import { openProgramLog } from './program-log.js';
import { untilSignal } from './signals.js';

/** Runs the gateway of a `gateway.yaml`. Resolves with the exit code after a clean stop. */
export async function run(file = 'gateway.yaml', options: { json?: boolean } = {}): Promise<number> {
  let reload = (): void => {};
  const signal = untilSignal(() => reload());
  const site = await loadSite(file);
  const { log, change } = openProgramLog({
    level: site.config.log.level,
    secrets: site.secrets,
    form: process.stdout.isTTY && !options.json ? 'text' : 'json',
  });
  for (const { code, message, place } of site.warnings) log.warn({ code, line: place?.line }, message);
  const onSite = ({ config, secrets }: Site): void => change({ level: config.log.level, secrets });
  const gateway = await startGateway(site, { log, onSite });
  // What is wrong with the new configuration has been told in the log.
  reload = () => void gateway.reload({ by: 'signal' }).catch(() => {});
  const systemd = openSystemd({
    env: process.env,
    log,
    stuck: gateway.stuck,
    status: () => {
      const { devices, upstreams } = gateway.snapshot();
      const online = (items: readonly { state?: string; link?: string }[]) =>
        items.filter(({ state, link }) => (state ?? link) === 'online').length;
      return `${online(devices)} of ${devices.length} devices, ${online(upstreams)} of ${upstreams.length} upstreams online`;
    },
  });
  await systemd.ready();
  log.info({ signal: await signal }, 'stopping');
  await systemd.stopping();
  await gateway.stop();
  log.info('stopped');
  return EXIT.ok;
}
