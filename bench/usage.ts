/** What a process uses, as Linux counts it in /proc. Elsewhere nothing is measured. */
import { readFileSync } from 'node:fs';

/** Counters of one process at one instant. */
export interface Usage {
  /** Monotonic time, milliseconds. */
  readonly at: number;
  /** Processor time of all threads, and of the main thread alone, milliseconds (in steps of 10). */
  readonly cpu: number;
  readonly mainCpu: number;
  /** Resident memory now and at its highest, bytes. */
  readonly rss: number;
  readonly peak: number;
  /** Bytes sent to disk: pages made dirty on any file system that has a disk. */
  readonly written: number;
}

/** Milliseconds in one tick of /proc/<pid>/stat (USER_HZ is 100 on every Linux that Node runs on). */
const TICK = 10;

/** The counters of a process now, or undefined where there is no /proc. */
export function usageOf(pid: number): Usage | undefined {
  if (process.platform !== 'linux') return undefined;
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return {
    at: performance.now(),
    cpu: cpuIn(`/proc/${pid}/stat`),
    mainCpu: cpuIn(`/proc/${pid}/task/${pid}/stat`),
    rss: numberIn(status, /^VmRSS:\s+(\d+)/m) * 1024,
    peak: numberIn(status, /^VmHWM:\s+(\d+)/m) * 1024,
    written: numberIn(readFileSync(`/proc/${pid}/io`, 'utf8'), /^write_bytes: (\d+)/m),
  };
}

/** The share of one core used between two instants: 1 is all of it. */
export function coreShare(from: Usage | undefined, to: Usage | undefined, of: 'cpu' | 'mainCpu' = 'cpu'): number {
  return from && to ? (to[of] - from[of]) / (to.at - from.at) : Number.NaN;
}

/** The middle one of several measurements; NaN, "not measured", when there is none. */
export function median(measurements: readonly number[]): number {
  const sorted = measurements.filter((m) => !Number.isNaN(m)).sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? Number.NaN)) / 2;
}

/** So many of all measurements (0.99: 99 of 100) are at most this; NaN when there is none. */
export function percentile(measurements: readonly number[], share: number): number {
  return [...measurements].sort((a, b) => a - b)[Math.floor(measurements.length * share)] ?? Number.NaN;
}

function cpuIn(file: string): number {
  // The name of the command may hold spaces: fields are counted from behind its bracket. utime and stime are 14 and 15 (proc(5)).
  const stat = readFileSync(file, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * TICK;
}

function numberIn(text: string, pattern: RegExp): number {
  return Number(pattern.exec(text)?.[1] ?? Number.NaN);
}
