/** `tidegate demo`: what `npm start` shows. */
import { type Demo, startDemo } from '../demo/demo.js';
import { type Count, countLine } from '../demo/tally.js';
import { toJson } from '../ops/text.js';
import { EXIT } from './exit.js';
import { renderView } from './live-view.js';
import { openProgramLog } from './program-log.js';
import { openScreen } from './screen.js';
import { untilSignal } from './signals.js';
import { useColor } from './terminal.js';

/** Options as commander gives them; durations in milliseconds. */
export interface DemoFlags {
  readonly once?: boolean;
  readonly cutAfter: number;
  readonly cutFor: number;
  readonly json?: boolean;
}

/** How often lines tell about the state where there is no live view, in milliseconds. */
const TELL_EVERY = 5_000;

/** Runs the demo until it is told to stop; with `once` until the count. Gives the exit code. */
export async function demo(flags: DemoFlags): Promise<number> {
  const live = process.stdout.isTTY && !flags.json;
  const screen = live ? openScreen(process.stdout) : undefined;
  const { log } = openProgramLog({
    // The live view shows what the log would tell; only what is wrong scrolls by above it.
    level: live ? 'error' : 'info',
    form: flags.json ? 'json' : 'text',
    // The same way out as everything else here, so that lines keep their order.
    to: screen?.print ?? ((line) => void process.stdout.write(line)),
  });
  const print = (line: string) => {
    if (screen === undefined) process.stdout.write(`${line}\n`);
    else screen.print(`${line}\n`);
  };
  const tell = (sentence: string) => (screen === undefined ? log.info(sentence) : print(sentence));
  const signal = untilSignal().then(() => undefined);

  if (!flags.json) print(welcome(flags));
  const running = await startDemo({ log, ...flags });
  const timer = setInterval(
    () => {
      if (screen === undefined) log.info(facts(running), 'state');
      else screen.paint(viewOf(running));
    },
    screen === undefined ? TELL_EVERY : 500,
  );
  const counted = running.outage(tell).then((count) => {
    if (count !== undefined) print(flags.json ? toJson(count) : countLine(count));
    if (count !== undefined && !flags.once) tell('It runs on until Ctrl-C. To connect your own: tidegate init');
    return count;
  });
  const count = await Promise.race([signal, flags.once ? counted : counted.then(() => signal)]);
  clearInterval(timer);
  await running.stop();
  screen?.close();
  return flags.once ? verdict(count) : EXIT.ok;
}

function verdict(count: Count | undefined): number {
  return count !== undefined && count.lost === 0 && count.outOfOrder === 0 ? EXIT.ok : EXIT.failed;
}

function welcome({ cutAfter, cutFor, once }: DemoFlags): string {
  return `Tidegate demo: a simulated energy meter and heat pump on Modbus TCP, an ordinary gateway, and a stand-in cloud
(an MQTT broker in this process). In ${cutAfter / 1_000} s the uplink is cut for ${cutFor / 1_000} s; then everything is counted at the cloud.
${once ? 'It ends after the count.' : 'Ctrl-C ends it.'} Next, with your own devices: npx tidegate init
`;
}

function viewOf(running: Demo): string[] {
  const { columns, rows } = process.stdout;
  return renderView(running.snapshot(), { columns, rows: rows - 1, color: useColor(process.stdout) });
}

/** The state in a few words, for the log. */
function facts(running: Demo): object {
  const { devices, readingsPerSecond, upstreams } = running.snapshot();
  const [cloud] = upstreams;
  const { alarm = 0, live = 0, backlog = 0 } = cloud?.waiting ?? {};
  return {
    online: `${devices.filter(({ state }) => state === 'online').length}/${devices.length}`,
    readingsPerSecond,
    link: cloud?.link,
    waiting: alarm + live + backlog,
    acknowledged: cloud?.acknowledged,
  };
}
