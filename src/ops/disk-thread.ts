/**
 * The one thread for all that can wait for a disk: a card that takes half a second to `fsync` must delay no poll, and each idle thread
 * costs 11 MB. Modules work in it; what is asked of one is answered in the order of asking.
 */
import { Worker } from 'node:worker_threads';
import { type ErrorCode, TidegateError } from '../errors.js';

/** What a module exports as `serve`, for the thread: how it answers; `tell` says what nobody asked for. */
export type Serve<Call, Notice = never> = (tell: (notice: Notice) => void) => (call: Call) => unknown;

/** A module at work in the thread. */
export interface DiskModule<Call> {
  /** Rejects with a TidegateError: the one that the module threw, else of the module's code; also when the thread has ended. */
  ask<Result>(call: Call): Promise<Result>;
}

/** The thread. It is started by the first module. */
export interface DiskThread {
  /**
   * Puts a module to work, once.
   * @param code of its errors that have none
   * @param hear what it tells unasked
   */
  use<Call, Notice = never>(module: URL, code: ErrorCode, hear?: (notice: Notice) => void): DiskModule<Call>;
  /** Resolves when the thread has done all that was asked before; rejects when it has ended. */
  ping(): Promise<void>;
  /** Ends it, whatever it is doing. */
  close(): Promise<void>;
}

/** From here to the thread: `ping` has neither module nor call. */
export interface Asked {
  readonly id: number;
  readonly module?: string;
  readonly call?: unknown;
}

/** From the thread: an answer, or what a module tells unasked. */
export type Said =
  | { readonly id: number; readonly result: unknown }
  | { readonly id: number; readonly failure: { readonly code?: ErrorCode; readonly message: string } }
  | { readonly module: string; readonly notice: unknown };

interface Waiting {
  readonly code: ErrorCode;
  resolve(result: unknown): void;
  reject(error: Error): void;
}

/** Prepares the thread. */
export function prepareDiskThread(): DiskThread {
  let worker: Worker | undefined;
  let dead: string | undefined;
  let last = 0;
  const waiting = new Map<number, Waiting>();
  const hearing = new Map<string, (notice: never) => void>();

  return {
    use(module, code, hear) {
      if (hear) hearing.set(module.href, hear);
      return { ask: <Result>(call: unknown) => ask(code, { module: module.href, call }) as Promise<Result> };
    },
    async ping() {
      if (worker) await ask('OUTBOX_STORE', {});
    },
    async close() {
      await worker?.terminate();
    },
  };

  function ask(code: ErrorCode, asked: Omit<Asked, 'id'>): Promise<unknown> {
    if (dead) return Promise.reject(new TidegateError(code, dead));
    worker ??= start();
    const id = ++last;
    return new Promise((resolve, reject) => {
      waiting.set(id, { code, resolve, reject });
      worker?.postMessage({ id, ...asked } satisfies Asked);
    });
  }

  function start(): Worker {
    const started = new Worker(new URL('./disk-thread-worker.js', import.meta.url), {
      resourceLimits: { maxYoungGenerationSizeMb: 4, maxOldGenerationSizeMb: 128 },
    });
    started.on('message', hear);
    started.on('error', (error) => end(`the thread that works on the disk failed: ${error.message}`));
    started.on('exit', () => end('the thread that works on the disk has ended'));
    return started;
  }

  function hear(said: Said): void {
    if ('notice' in said) {
      hearing.get(said.module)?.(said.notice as never);
      return;
    }
    const asker = waiting.get(said.id);
    waiting.delete(said.id);
    if ('result' in said) asker?.resolve(said.result);
    else asker?.reject(new TidegateError(said.failure.code ?? asker.code, said.failure.message));
  }

  function end(reason: string): void {
    dead ??= reason;
    for (const { code, reject } of waiting.values()) reject(new TidegateError(code, dead));
    waiting.clear();
  }
}
