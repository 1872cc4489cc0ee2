/** What stands behind `journal.ts` in the disk thread: the journal of one data folder. */
import { TidegateError } from '../errors.js';
import type { Serve } from '../ops/disk-thread.js';
import type { JournalCall } from './journal.js';
import { type JournalFile, openJournal } from './journal-file.js';

let file: JournalFile | undefined;

/** Answers calls. */
export const serve: Serve<JournalCall> = () => (call) => {
  if (call.op === 'open') {
    file?.close();
    const { file: opened, ...told } = openJournal(call.folder);
    file = opened;
    return told;
  }
  if (call.op === 'close') {
    file?.close();
    file = undefined;
    return undefined;
  }
  // What is not known to be behind others must not be written there.
  if (!file) throw new TidegateError('REGISTER_STORE', 'the register of devices is not open');
  return call.op === 'append' ? file.append(call.entries, call.known) : file.history(call.device);
};
