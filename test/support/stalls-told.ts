/** Preloaded into a gateway that is to be killed: tells, in the file that STALLS names, how long it had to wait. */
import { isMainThread } from 'node:worker_threads';
import { tellStalls } from './stall.js';

if (isMainThread && process.env.STALLS) void tellStalls(process.env.STALLS);
