/** Programs around the gateway run as processes of their own, so that their cost is not taken for the gateway's. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

interface Question {
  readonly ask: string;
  readonly argument: unknown;
}
type Answer = { readonly result: unknown } | { readonly error: string };

/** A process that answers questions, one after another. */
export class Peer {
  readonly pid: number;
  private last: Promise<unknown> = Promise.resolve();

  private constructor(private readonly child: ChildProcess) {
    this.pid = child.pid as number;
  }

  /** Starts a compiled file, relative to this one, with flags for Node. It ends with its parent. */
  static start(file: string, flags: readonly string[] = []): Peer {
    const child = fork(fileURLToPath(new URL(file, import.meta.url)), {
      execArgv: [...flags],
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    return new Peer(child);
  }

  /** @throws Error with what the other process says, or when it has ended */
  ask<Result = void>(question: string, argument?: unknown): Promise<Result> {
    const answer = this.last.then(() => this.exchange(question, argument));
    this.last = answer.catch(() => {});
    return answer as Promise<Result>;
  }

  async stop(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const gone = once(this.child, 'exit');
    this.child.kill('SIGKILL');
    await gone;
  }

  private async exchange(ask: string, argument: unknown): Promise<unknown> {
    const quit = new AbortController();
    const ended = once(this.child, 'exit', { signal: quit.signal }).then(() => [{ error: `ended before "${ask}"` }]);
    const answered = once(this.child, 'message', { signal: quit.signal });
    // The one that is not awaited any more is aborted below.
    for (const either of [ended, answered]) either.catch(() => {});
    this.child.send({ ask, argument } satisfies Question);
    const [answer] = (await Promise.race([answered, ended])) as [Answer];
    quit.abort();
    if ('error' in answer) throw new Error(answer.error);
    return answer.result;
  }
}

/** The other side of `Peer`: answers questions by name until the parent is gone. */
// biome-ignore lint/suspicious/noExplicitAny: each question has an argument of its own type
export function answer(questions: Record<string, (argument: any) => unknown>): void {
  process.on('message', async ({ ask, argument }: Question) => {
    let reply: Answer;
    try {
      reply = { result: await questions[ask]?.(argument) };
    } catch (error) {
      reply = { error: (error as Error).stack ?? String(error) };
    }
    process.send?.(reply);
  });
  process.on('disconnect', () => process.exit());
}
