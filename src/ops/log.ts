/** The log: pino's plain JSON for programs, compact lines on a terminal, and no secret in either. */
import { writeSync } from 'node:fs';
import { destination, type Logger, pino, stdSerializers, stdTimeFunctions } from 'pino';
import { TidegateError } from '../errors.js';
import { formatLogLine } from './log-line.js';
import { compileRedactor } from './redact.js';

/** How much is logged: `log.level` of gateway.yaml, or nothing at all. */
export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'fatal' | 'silent';

/** What a log is made of. */
export interface LogOptions {
  readonly level: LogLevel;
  /** Texts that must never be written; `***` stands for them. */
  readonly secrets?: readonly string[];
  /** Where lines go: a file descriptor (1 when absent), or a function that takes each line with its newline. */
  readonly to?: number | ((line: string) => void);
  /** `json`: one object per line. `text`: for people. */
  readonly form?: 'json' | 'text';
  /** Colours, in the text form. */
  readonly color?: boolean;
}

/** A log, and the means to get the last lines out before the process ends. */
export interface Log {
  readonly log: Logger;
  /** Writes lines of this level from now on, and masks these texts beside those of before. */
  change(options: { readonly level: LogLevel; readonly secrets: readonly string[] }): void;
  /** Writes out all that waits, before it returns. */
  flush(): void;
}

/** Most bytes that wait for a reader that has stopped reading; what comes on top is dropped, so that memory stays bounded. */
const WAITING = 4_000_000;

/** Opens the log. The writing is asynchronous: a reader that is slow never holds up a poll. */
export function openLog(options: LogOptions): Log {
  const to = options.to ?? 1;
  const sink = typeof to === 'number' ? openDestination(to) : { write: to, flushSync: () => {} };
  const secrets = new Set(options.secrets);
  let redact = compileRedactor([...secrets]);
  /** A child has a level of its own. Most live as long as the program; those of parts that were removed are let go. */
  const children = new Set<WeakRef<Logger>>();
  const form = options.form === 'text' ? (line: string) => formatLogLine(line, options.color ?? false) : asItIs;
  const log = pino(
    {
      level: options.level,
      base: null,
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { err: serializeError, error: serializeError },
      onChild: (child) => void children.add(new WeakRef(child)),
    },
    { write: (line: string) => void sink.write(form(redact(line))) },
  );
  return {
    log,
    change({ level, secrets: more }) {
      for (const secret of more) secrets.add(secret);
      redact = compileRedactor([...secrets]);
      log.level = level;
      for (const reference of children) {
        const child = reference.deref();
        if (child) child.level = level;
        else children.delete(reference);
      }
    },
    flush: () => flush(sink),
  };
}

function asItIs(line: string): string {
  return line;
}

/** Writes to a file descriptor. One that refuses (its terminal is gone, its disk is full) ends nothing, and is not waited for. */
function openDestination(dest: number): ReturnType<typeof destination> {
  const stream = destination({ dest, sync: false, maxLength: WAITING });
  let refuses = false;
  stream.on('error', () => {
    refuses = true;
  });
  stream.on('write', () => {
    refuses = false;
  });
  // It would try for ever; pino itself calls it when the process ends. Where a terminal is gone, already nothing cannot be written.
  const flushSync = stream.flushSync.bind(stream);
  stream.flushSync = () => {
    try {
      writeSync(dest, '');
    } catch {
      return;
    }
    if (!refuses) flushSync();
  };
  return stream;
}

function flush(sink: { flushSync(): void }): void {
  try {
    sink.flushSync();
  } catch {
    // The reader is gone: nobody is left to tell.
  }
}

/** Our own errors say all in code and message; a stack helps only with the unexpected. */
function serializeError(error: unknown): unknown {
  if (error instanceof TidegateError)
    return {
      code: error.code,
      message: error.message,
      ...(error.cause === undefined ? {} : { cause: String((error.cause as Error).message ?? error.cause) }),
    };
  return error instanceof Error ? stdSerializers.err(error) : error;
}
