/** What the process ends with, and how a failure is shown. */
import { formatProblem } from '../config/format.js';
import { CODES, messageOf, ProblemList, TidegateError } from '../errors.js';
import { toJson } from '../ops/text.js';
import { useColor } from './terminal.js';

/** Exit codes; docs/cli.md tells people what they mean. */
export const EXIT = { ok: 0, failed: 1, usage: 2, config: 3, inUse: 4 } as const;

/** The exit code that an error deserves. */
function exitCodeOf(error: unknown): number {
  const first = error instanceof ProblemList ? error.errors[0] : error;
  if (!(first instanceof TidegateError)) return EXIT.failed;
  if (first.code === 'USAGE') return EXIT.usage;
  if (first.code === 'DATA_IN_USE') return EXIT.inUse;
  return /^(CONFIG|PROFILE|RULE)_/.test(first.code) ? EXIT.config : EXIT.failed;
}

/** Shows an error: to people on stderr, to programs as JSON on stdout. Gives the exit code. */
export function showError(error: unknown, json = false): number {
  const problems = error instanceof ProblemList ? error.errors : [error];
  if (json) process.stdout.write(`${toJson({ ok: false, problems: problems.map(problemJson) })}\n`);
  else {
    const color = useColor(process.stderr);
    process.stderr.write(`${problems.map((problem) => problemText(problem, color)).join('\n\n')}\n`);
    if (problems.length > 1) process.stderr.write(`\n${problems.length} problems\n`);
  }
  return exitCodeOf(error);
}

/** One problem as programs read it. */
export function problemJson(problem: unknown): object {
  if (!(problem instanceof TidegateError)) return { code: 'INTERNAL', message: messageOf(problem) };
  const { file, line, column } = problem.place ?? {};
  return { code: problem.code, message: problem.message, hint: hintOf(problem), file, line, column };
}

function problemText(problem: unknown, color: boolean): string {
  if (!(problem instanceof TidegateError))
    return `tidegate: an error that nobody expected\n${problem instanceof Error ? problem.stack : messageOf(problem)}`;
  if (problem.place !== undefined) return formatProblem(problem, { color });
  return `tidegate: ${problem.message} [${problem.code}]\n  ${hintOf(problem)}`;
}

function hintOf(problem: TidegateError): string {
  return problem.hint ?? CODES[problem.code].todo;
}
