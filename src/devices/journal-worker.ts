/** What stands behind `journal.ts` in the disk thread: the journal of one data folder. */
import type { Serve } from '../ops/disk-thread.js';
import type { JournalCall } from './journal.js';
import { JournalFile, readJournal } from './journal-file.js';

let file: JournalFile | undefined;

/** Answers calls. */
export const serve: Serve<JournalCall> = () => (call) => {
  switch (call.op) {
    case 'open':
      file ??= new JournalFile(call.folder);
      return file.opened;
    case 'append':
      file ??= new JournalFile(call.folder);
      return file.append(call.entries);
    case 'read':
      return readJournal(call.folder);
    case 'close':
      file?.close();
      file = undefined;
      return undefined;
  }
};
