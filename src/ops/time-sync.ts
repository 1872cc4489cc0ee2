/** Whether the wall clock is right, by those who should know: the operating system's time service, and a battery clock. */
import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';

/** `set`: the clock was set · `unset`: whoever is to set it has not done so yet · `nobody`: there is none here who would know. */
export type ClockWord = 'set' | 'unset' | 'nobody';

/** Who is asked about the clock. */
export interface TimeSync {
  /** What can be seen at once; undefined when one has to ask. Cheap enough for once a second. */
  look(): ClockWord | undefined;
  /** Asks. Rejects when there is no answer. */
  ask(): Promise<ClockWord>;
}

/** Written by systemd-timesyncd(8) when it has set the clock. */
const SYNCHRONIZED = '/run/systemd/timesync/synchronized';
/** There when systemd runs this machine (sd_booted(3)). */
const SYSTEMD = '/run/systemd/system';
/** Seconds since 1970 of the first battery clock. */
const BATTERY = '/sys/class/rtc/rtc0/since_epoch';
/** Milliseconds by which a battery clock, which counts in seconds, may differ from the wall clock that was set from it. */
const ALIKE = 3_000;

/** This machine's own witnesses. Without systemd there are none: set-top boxes and containers have no common way to ask. */
export const machine: TimeSync = {
  look() {
    if (existsSync(SYNCHRONIZED) || batteryAgrees()) return 'set';
    return existsSync(SYSTEMD) ? undefined : 'nobody';
  },
  ask: () =>
    new Promise((resolve, reject) => {
      const words = ['show', '--property=NTP', '--property=NTPSynchronized'];
      execFile('timedatectl', words, { timeout: 5_000 }, (error, said) => {
        if (error === null) resolve(wordOf(said));
        else if (error.code === 'ENOENT') resolve('nobody');
        else reject(error);
      });
    }),
};

/**
 * What `timedatectl show` says. `NTPSynchronized` is the kernel's own flag, which chrony and ntpd set too; `NTP=no` means that
 * no time service is switched on.
 */
export function wordOf(properties: string): ClockWord {
  if (/^NTPSynchronized=yes$/m.test(properties)) return 'set';
  return /^NTP=no$/m.test(properties) ? 'nobody' : 'unset';
}

/** A box whose battery clock counts was set once; one without starts it at a date long past, which then differs or is not believed. */
function batteryAgrees(): boolean {
  try {
    return Math.abs(Number(readFileSync(BATTERY, 'utf8')) * 1_000 - Date.now()) < ALIKE;
  } catch {
    return false;
  }
}
