#!/usr/bin/env -S node --max-semi-space-size=1 --optimize-for-size --no-concurrent-marking --initial-heap-size=24
/** The command line. Its first line asks Node for less memory, short pauses and a quick start (docs/performance.md). */
import { runCommandLine } from './cli/program.js';

// A reader that has seen enough (`tidegate watch | head`) is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1));
process.exit(await runCommandLine(process.argv.slice(2)));
