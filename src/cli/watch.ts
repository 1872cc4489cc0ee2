/** `tidegate watch`: live values, from the running gateway or, when none runs, by polling here. */
import { startGateway } from '../gateway.js';
import { watchControl } from '../ops/control.js';
import { openLog } from '../ops/log.js';
import { toJson } from '../ops/text.js';
import { loadSite } from '../site.js';
import type { Snapshot } from '../snapshot.js';
import { findData } from './data.js';
import { EXIT } from './exit.js';
import { renderView } from './live-view.js';
import { openScreen, type Screen } from './screen.js';
import { untilSignal } from './signals.js';
import { useColor } from './terminal.js';

/** Shows snapshots until it is told to stop, or until the gateway that it watches ends. Gives the exit code. */
export async function watch(options: { config?: string; json?: boolean } = {}): Promise<number> {
  const file = options.config ?? 'gateway.yaml';
  const folder = findData(file);
  const end = new AbortController();
  void untilSignal().then(() => end.abort());
  const running = await watchControl<Snapshot>(folder, end.signal);
  if (running === undefined)
    process.stderr.write('No gateway runs on this data folder: polling here, delivering nothing.\n');
  const show = openShow(options.json ?? false);
  for await (const snapshot of running ?? pollHere(file, end.signal)) show.show(snapshot);
  show.close();
  if (running !== undefined && !end.signal.aborted) process.stderr.write('The gateway has ended.\n');
  return EXIT.ok;
}

/** Polls without delivering: a snapshot per second. */
async function* pollHere(file: string, signal: AbortSignal): AsyncGenerator<Snapshot> {
  // What goes wrong is seen in the view, device by device.
  const { log } = openLog({ level: 'silent' });
  const gateway = await startGateway(await loadSite(file), { log, deliver: false });
  try {
    while (await pause(1_000, signal)) yield gateway.snapshot();
  } finally {
    await gateway.stop();
  }
}

/** Waits; false when aborted. */
function pause(milliseconds: number, signal: AbortSignal): Promise<boolean> {
  if (signal.aborted) return Promise.resolve(false);
  return new Promise((resolve) => {
    const stop = () => {
      clearTimeout(timer);
      resolve(false);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', stop);
      resolve(true);
    }, milliseconds);
    signal.addEventListener('abort', stop, { once: true });
  });
}

/** Where snapshots are shown. */
export interface Show {
  show(snapshot: Snapshot): void;
  readonly screen?: Screen;
  close(): void;
}

/** The live view on a terminal; lines of JSON, or of text, where there is none. */
function openShow(json: boolean): Show {
  const out = process.stdout;
  if (json) return { show: (snapshot) => void out.write(`${toJson(snapshot)}\n`), close: () => {} };
  if (!out.isTTY)
    return {
      show: (snapshot) => void out.write(`${textOf(snapshot)}\n\n`),
      close: () => {},
    };
  const screen = openScreen(out);
  return {
    screen,
    show: (snapshot) =>
      screen.paint(renderView(snapshot, { columns: out.columns, rows: out.rows - 1, color: useColor(out) })),
    close: screen.close,
  };
}

/** A whole snapshot as plain lines, for a pipe. */
function textOf(snapshot: Snapshot): string {
  return renderView(snapshot, { columns: 100, rows: Number.POSITIVE_INFINITY, color: false }).join('\n');
}
