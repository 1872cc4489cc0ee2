/** The thread behind `disk-thread.ts`: loads modules, and has them answer one request after another. */
import { parentPort } from 'node:worker_threads';
import { messageOf, TidegateError } from '../errors.js';
import type { Asked, Said, Serve } from './disk-thread.js';

const modules = new Map<string, Promise<ReturnType<Serve<unknown>>>>();
const port = parentPort;
if (!port) throw new TypeError('disk-thread-worker.js runs as a worker thread');
const say = (said: Said): void => port.postMessage(said);

// Whoever waits for a module goes on in the order of coming.
port.on('message', async ({ id, module, call }: Asked) => {
  try {
    if (module === undefined) return say({ id, result: undefined });
    const answer = await load(module);
    say({ id, result: answer(call) });
  } catch (error) {
    const code = error instanceof TidegateError ? { code: error.code } : {};
    say({ id, failure: { ...code, message: messageOf(error) } });
  }
});

function load(module: string): Promise<ReturnType<Serve<unknown>>> {
  let loaded = modules.get(module);
  if (!loaded) {
    loaded = import(module).then(({ serve }: { serve: Serve<unknown, unknown> }) =>
      serve((notice) => say({ module, notice })),
    );
    modules.set(module, loaded);
  }
  return loaded;
}
