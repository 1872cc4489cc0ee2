/** The log of a long-running command: opened once per process, flushed however the process ends. */
import { type Log, type LogOptions, openLog } from '../ops/log.js';
import { tellOwner } from '../ops/owner.js';
import { EXIT } from './exit.js';
import { useColor } from './terminal.js';

/** Opens the log, and sees to it that nothing ends the process without a last line. What fails in owned work ends only that. */
export function openProgramLog(options: LogOptions): Log {
  const opened = openLog({ color: useColor(process.stdout), ...options });
  const fatal = (what: string) => (error: unknown) => {
    if (tellOwner(error)) return;
    opened.log.fatal({ err: error }, what);
    opened.flush();
    process.exit(EXIT.failed);
  };
  process.on('uncaughtException', fatal('an error that nobody caught'));
  process.on('unhandledRejection', fatal('a promise that nobody waited for failed'));
  process.on('exit', opened.flush);
  return opened;
}
