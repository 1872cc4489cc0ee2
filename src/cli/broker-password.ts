/** `tidegate broker password`: a hashed password for `broker.users` in `gateway.yaml`. */
import { createInterface } from 'node:readline/promises';
import { Writable } from 'node:stream';
import { hashPassword } from '../config/password.js';
import { TidegateError } from '../errors.js';
import { EXIT } from './exit.js';

/** Asks for a password twice on a terminal, or reads the first line of the input; prints its hash, quoted for YAML. Gives the exit code. */
export async function brokerPassword(): Promise<number> {
  const { stdin, stdout, stderr } = process;
  const lines = createInterface({ input: stdin, ...(stdin.isTTY && { output: silence(), terminal: true }) });
  const typed: AsyncIterator<string> = lines[Symbol.asyncIterator]();
  const ask = async (what: string): Promise<string> => {
    if (stdin.isTTY) stderr.write(`${what}: `);
    const { value, done } = await typed.next();
    if (stdin.isTTY) stderr.write('\n');
    return done ? '' : value;
  };
  try {
    const password = await ask('Password');
    if (password === '') throw new TidegateError('USAGE', 'no password was given', { hint: 'Type it, or pipe it in.' });
    if (stdin.isTTY && (await ask('Again')) !== password)
      throw new TidegateError('USAGE', 'the two passwords differ', { hint: 'Nothing was made; try again.' });
    // In quotes, since it has commas: so it fits wherever it is put in YAML.
    stdout.write(`"${await hashPassword(password)}"\n`);
    return EXIT.ok;
  } finally {
    lines.close();
  }
}

/** Where a terminal's echo goes. */
function silence(): Writable {
  return new Writable({ write: (_chunk, _encoding, done) => done() });
}
