#!/usr/bin/env -S node --max-semi-space-size=1 --optimize-for-size --no-concurrent-marking
/** The command line. Its first line asks Node for less memory, and for short pauses (docs/performance.md). */
import { runCommandLine } from './cli/program.js';

// A reader that has seen enough (`tidegate watch | head`) is no error; a full disk is.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  process.stderr.write(`tidegate: the output cannot be written: ${error.message}\n`);
  process.exit(1);
});
const code = await runCommandLine(process.argv.slice(2));
// What was wrong with the last write is told a moment after it.
setImmediate(() => process.exit(code));
