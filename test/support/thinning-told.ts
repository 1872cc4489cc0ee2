/** Preloaded into a process that is to be killed: says on stdout when a transaction has thinned and goes to disk, and when it is there. */
import { writeSync } from 'node:fs';
import { Budget } from '../../src/delivery/budget.js';
import { SegmentFile } from '../../src/delivery/segment-file.js';

const { thinSlice } = Budget.prototype;
const { commit, thin } = SegmentFile.prototype;
let thinned = false;

Budget.prototype.thinSlice = function (...args) {
  const gone = thinSlice.apply(this, args);
  if (gone && !thinned) writeSync(1, 'thins\n');
  thinned ||= gone !== undefined;
  return gone;
};

SegmentFile.prototype.commit = function (...args) {
  const committed = commit.apply(this, args);
  ended();
  return committed;
};

SegmentFile.prototype.thin = function () {
  const more = thin.call(this);
  ended();
  return more;
};

function ended(): void {
  if (thinned) writeSync(1, 'thinned\n');
  thinned = false;
}
