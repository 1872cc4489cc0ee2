/**
 * systemd's notification protocol (sd_notify(3)): tells when the gateway is ready, stops, and that it is well.
 * Silently off where `NOTIFY_SOCKET` is not set. See docs/decisions/0011-systemd-notify.md for how it is sent.
 */
import { execFile } from 'node:child_process';
import type { Logger } from 'pino';
import { messageOf } from '../errors.js';
import { repeated } from './repeated.js';

/** What the notifier asks and tells. */
export interface SystemdOptions {
  /** The environment that systemd gave. */
  readonly env: NodeJS.ProcessEnv;
  readonly log: Logger;
  /** Says what is stuck, or undefined when all is well. Asked twice per watchdog period; no answer counts as stuck. */
  stuck(): Promise<string | undefined>;
  /** One line for `systemctl status`. */
  status(): string;
}

/** The other end of systemd's supervision. */
export interface Systemd {
  /** The gateway runs: units that wait for it may start. Also starts the watchdog, if systemd asked for one. */
  ready(): Promise<void>;
  /** The gateway is about to end. */
  stopping(): Promise<void>;
}

/** Connects to systemd's supervision, where there is one. */
export function openSystemd(options: SystemdOptions): Systemd {
  const { env, log } = options;
  if (!env.NOTIFY_SOCKET) return { ready: async () => {}, stopping: async () => {} };
  const period = watchdogPeriod(env);
  const trouble = repeated(log);
  let timer: NodeJS.Timeout | undefined;

  const tell = async (...words: string[]) => {
    try {
      await send(words, env);
    } catch (error) {
      trouble.failed('systemd cannot be told how the gateway is', { reason: messageOf(error) });
    }
  };
  const beat = async () => {
    // A timer of this process alone would prove only that its event loop turns.
    const stuck = await within(options.stuck(), period / 4);
    if (stuck === undefined) {
      trouble.over('the gateway is well again');
      await tell('WATCHDOG=1', `STATUS=${options.status()}`);
    } else trouble.failed('the watchdog is not answered', { reason: stuck });
  };
  return {
    async ready() {
      await tell('READY=1', `STATUS=${options.status()}`);
      if (period === 0) return;
      timer = setInterval(() => void beat(), period / 2);
      timer.unref();
    },
    async stopping() {
      clearInterval(timer);
      await tell('STOPPING=1');
    },
  };
}

/** Milliseconds within which systemd wants a sign of life; 0 for never (sd_watchdog_enabled(3)). */
function watchdogPeriod(env: NodeJS.ProcessEnv): number {
  const forUs = env.WATCHDOG_PID === undefined || env.WATCHDOG_PID === String(process.pid);
  const period = Number(env.WATCHDOG_USEC ?? 0) / 1_000;
  return forUs && Number.isFinite(period) && period > 0 ? period : 0;
}

async function within(answer: Promise<string | undefined>, milliseconds: number): Promise<string | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<string>((resolve) => {
    timer = setTimeout(() => resolve(`no answer within ${Math.round(milliseconds)} ms`), milliseconds);
    timer.unref();
  });
  try {
    return await Promise.race([answer, late]);
  } catch (error) {
    return messageOf(error);
  } finally {
    clearTimeout(timer);
  }
}

/** Node has no datagram sockets of the unix family, so systemd's own small program sends them. */
function send(words: string[], env: NodeJS.ProcessEnv): Promise<void> {
  return new Promise((resolve, reject) => {
    execFile('systemd-notify', words, { env, timeout: 5_000 }, (error) => (error ? reject(error) : resolve()));
  });
}
