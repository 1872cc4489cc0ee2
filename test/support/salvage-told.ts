/** Preloaded into a process that is to be killed: says on stdout when a slice of a damaged file is carried over, and when it is there. */
import { writeSync } from 'node:fs';
import { Carrier } from '../../src/delivery/carrier.js';
import { SegmentFile } from '../../src/delivery/segment-file.js';

const carrySlice = Carrier.prototype.carry;
const { carry } = SegmentFile.prototype;

Carrier.prototype.carry = function (...args) {
  writeSync(1, 'carries\n');
  return carrySlice.apply(this, args);
};

SegmentFile.prototype.carry = function (...args) {
  const more = carry.apply(this, args);
  writeSync(1, 'carried\n');
  return more;
};
