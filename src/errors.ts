/** One error class, one table of codes. A kind says what the caller should do next; `docs/errors.md` is made from the table. */

/** `fix`: a person must change something · `reconnect`: the link is gone, open another · `reject`: this item will never pass · `retry`: later may work. */
export type ErrorKind = 'fix' | 'reconnect' | 'reject' | 'retry';

interface CodeEntry {
  readonly kind: ErrorKind;
  /** What it means. */
  readonly means: string;
  /** What to do about it. */
  readonly todo: string;
}

const code = (kind: ErrorKind, means: string, todo: string): CodeEntry => ({ kind, means, todo });

/** Every code there is. A code is never reused for another meaning. */
export const CODES = {
  // What people write: gateway.yaml, profiles, rules
  CONFIG_FILE: code(
    'fix',
    'A file or folder cannot be read.',
    'Check that the path exists and that the user running Tidegate may read it.',
  ),
  CONFIG_SYNTAX: code(
    'fix',
    'The file is not valid YAML 1.2.',
    'Look at the marked place; most often it is indentation, a missing colon, or a tab.',
  ),
  CONFIG_VALUE: code(
    'fix',
    'A value has the wrong type, form or range.',
    'Write what the message asks for; docs/reference.md lists every key.',
  ),
  CONFIG_UNKNOWN_KEY: code(
    'fix',
    'A key that Tidegate does not know.',
    'Correct the spelling, or remove it; docs/reference.md lists every key.',
  ),
  CONFIG_MISSING_KEY: code('fix', 'A required key is absent.', 'Add the key.'),
  CONFIG_UNKNOWN_NAME: code(
    'fix',
    'A name (profile, driver, connection, point, upstream, device) that nothing is called.',
    'Correct the spelling, or define it.',
  ),
  CONFIG_CONFLICT: code('fix', 'Two settings that exclude or contradict each other.', 'Keep one of them.'),
  CONFIG_SECRET: code(
    'fix',
    'A secret (env: or file: in a placeholder) cannot be resolved.',
    'Set the environment variable, or create the file and make it readable.',
  ),
  CONFIG_RESTART: code(
    'fix',
    'A key was changed that a running gateway cannot change.',
    'Restart the gateway, or change the key back.',
  ),
  WIRE_LOAD: code(
    'fix',
    'What is to be read from a wire takes most of its time, or more than there is.',
    'Poll less often (`every`), raise the speed, or put some devices on another wire.',
  ),
  CONFIG_PLUGIN: code(
    'fix',
    'A plugin cannot be loaded, or is not a driver.',
    'Check its path and that it is built; drivers/README.md says what a driver has.',
  ),
  PROFILE_EXAMPLE: code(
    'fix',
    'An example of a profile does not give what it says.',
    "Compare the words and the values with the vendor's document; mend whichever is wrong.",
  ),
  PROFILE_STYLE: code(
    'fix',
    'A profile works, but is not written as profiles are.',
    'See device-profiles/README.md; `tidegate run` does not mind, `tidegate check` does.',
  ),
  RULE_EXPRESSION: code(
    'fix',
    'A CEL expression does not parse or has the wrong type.',
    'Look at the marked place; `where` must give true or false.',
  ),
  RULE_TEST: code('fix', 'A rule test gives other messages than it says.', 'Mend the rule, or the test.'),
  // The field side
  LINK_DOWN: code(
    'reconnect',
    'The connection to a device or gateway cannot be opened, or broke.',
    'Check cable, power, address and port; a running gateway keeps trying.',
  ),
  LINK_UNTRUSTED: code(
    'reconnect',
    'The other side shows a certificate that nobody approved, or that cannot be accepted.',
    'Compare its fingerprint with what the device shows, then `tidegate trust approve`; a running gateway keeps trying.',
  ),
  LINK_REFUSED: code(
    'reconnect',
    'The other side is there, but does not offer or accept what is configured: security, sign-in.',
    'Make both sides agree: the message says what the other side offers; a running gateway keeps trying.',
  ),
  WRITE_REFUSED: code(
    'reject',
    'The device refused a write, or the point cannot be written.',
    "Check the point's access, its limits and the device's own write protection.",
  ),
  DEVICE_UNAVAILABLE: code(
    'retry',
    'A device did not answer in time, or said that it is busy; whether it took a write is not known.',
    'Check the device; what was written is to be read back before it is written again.',
  ),
  // The local broker
  BROKER_LISTEN: code(
    'fix',
    'The local broker cannot listen where it should: the port is taken, or its certificate is unfit.',
    'Change `listen:` under `broker:`, or stop the program that has the port.',
  ),
  BROKER_PLAIN: code(
    'fix',
    'The local broker can be reached from other machines without TLS: passwords and readings can be read on the way.',
    'Add `tls:` and keep `listen:` on 127.0.0.1, unless all that reach it are trusted.',
  ),
  // Delivery
  OUTBOX_OPEN: code(
    'fix',
    'An outbox file cannot be opened or created.',
    'Check the data folder: it must exist on a local disk that has room, and be writable.',
  ),
  OUTBOX_STORE: code(
    'retry',
    'The outbox could not write to disk.',
    'Free space or replace the disk; events wait in memory meanwhile, within bounds.',
  ),
  OUTBOX_LOST: code(
    'fix',
    'Tidegate was stopped while neither the disk nor the broker took the last events: they are lost.',
    'Free space or replace the disk; the message says how many events there were, and of which time.',
  ),
  UPSTREAM_DOWN: code(
    'reconnect',
    'The broker cannot be reached, or refused the connection.',
    'Check address, port, credentials and certificates; a running gateway keeps trying.',
  ),
  UPSTREAM_REJECTED: code(
    'reject',
    'The broker refused a message for good.',
    "Check the broker's limits and topic rights.",
  ),
  // The register of devices
  REGISTER_STORE: code(
    'retry',
    'The register of devices could not be read from disk, or written to it.',
    'Free space, replace the disk, or let the user that runs the gateway write the file (a command run as root may own it). What happens to devices waits in memory meanwhile; ask again for what was refused.',
  ),
  REGISTER_DEVICE: code(
    'fix',
    'A device of the register cannot run: its profile or connection is gone, or another device has its place.',
    'Put back what is gone, or `tidegate devices retire` it.',
  ),
  // Running
  DATA_IN_USE: code(
    'fix',
    'Another Tidegate uses the same data folder.',
    'Stop the other one, or give this one its own `data:`.',
  ),
  GATEWAY_GONE: code(
    'retry',
    'The gateway that was asked ended before it answered.',
    'Whether it did what was asked is not known: look, then ask again.',
  ),
  FILE_WRITE: code(
    'fix',
    'A file that a command was to write cannot be written.',
    'Check that its folder exists and has room, and that this user may write there.',
  ),
  USAGE: code('fix', 'The command line is wrong.', 'See `tidegate --help`.'),
} as const satisfies Record<string, CodeEntry>;

/** A code of the table. */
export type ErrorCode = keyof typeof CODES;

/** Where in a file something is wrong. Lines and columns count from 1. */
export interface SourcePlace {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  /** The line itself, and how many characters to mark. */
  readonly text: string;
  readonly length: number;
}

/** Optional parts of an error: where it is, what to do about it in this case, and what caused it. */
export interface ErrorDetail {
  readonly place?: SourcePlace;
  /** What to do in this very case; the table's general advice stands in when absent. */
  readonly hint?: string;
  readonly cause?: unknown;
}

/** The one error class: a code, what happened, where, and what to do. */
export class TidegateError extends Error {
  readonly code: ErrorCode;
  readonly place: SourcePlace | undefined;
  readonly hint: string | undefined;

  constructor(code: ErrorCode, message: string, detail: ErrorDetail = {}) {
    super(message, detail.cause === undefined ? undefined : { cause: detail.cause });
    this.name = 'TidegateError';
    this.code = code;
    this.place = detail.place;
    this.hint = detail.hint;
  }

  /** What the caller should do next. */
  get kind(): ErrorKind {
    return CODES[this.code].kind;
  }
}

/** Several problems found in one run, each with its place. */
export class ProblemList extends AggregateError {
  override readonly errors: TidegateError[];

  constructor(problems: TidegateError[]) {
    super(problems, `${problems.length} problem${problems.length === 1 ? '' : 's'} found`);
    this.name = 'ProblemList';
    this.errors = problems;
  }
}

/** True for an error of the given kind: ours, or one of a plugin, which says its `kind` without being of our class. */
export function isKind(error: unknown, kind: ErrorKind): boolean {
  return error instanceof Error && 'kind' in error && error.kind === kind;
}

/** The words of anything thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
