/** A mosquitto broker of our own on a free port, and mosquitto_sub as the receiver. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Certificates } from '../support/certificates.js';
import { freePort, type Program, run, start, temporaryFolder } from './programs.js';

export const MOSQUITTO = ['mosquitto', 'mosquitto_passwd', 'mosquitto_sub', 'mosquitto_pub'];

/** How a broker lets clients in. */
export interface BrokerOptions {
  readonly port?: number;
  /** With a user, others are refused. */
  readonly user?: { readonly name: string; readonly password: string };
  readonly certificates?: Certificates;
  /** Ask clients for a certificate too. */
  readonly mutual?: boolean;
  /** A folder to remember sessions in, so that a subscriber misses nothing while the broker restarts. */
  readonly memory?: string;
}

/** A running broker. */
export interface Broker {
  readonly port: number;
  readonly program: Program;
  /** What mosquitto_sub and mosquitto_pub need to be let in. */
  readonly clientArgs: readonly string[];
  stop(): Promise<void>;
}

/** Starts mosquitto and waits until it accepts connections. */
export async function startBroker(options: BrokerOptions = {}): Promise<Broker> {
  const port = options.port ?? (await freePort());
  const folder = temporaryFolder();
  const { user, certificates: tls, mutual } = options;
  const config = [`listener ${port} 127.0.0.1`, `allow_anonymous ${user === undefined}`, 'log_type all'];
  const clientArgs = ['-h', '127.0.0.1', '-p', String(port)];
  if (process.getuid?.() === 0) config.push('user root'); // else it drops its rights and cannot read the files below
  if (user) {
    const passwords = join(folder, 'passwords');
    run('mosquitto_passwd', ['-b', '-c', passwords, user.name, user.password]);
    config.push(`password_file ${passwords}`);
    clientArgs.push('-u', user.name, '-P', user.password);
  }
  if (tls) {
    config.push(`cafile ${tls.ca}`, `certfile ${tls.server.cert}`, `keyfile ${tls.server.key}`);
    clientArgs.push('--cafile', tls.ca);
  }
  if (tls && mutual) {
    config.push('require_certificate true');
    clientArgs.push('--cert', tls.client.cert, '--key', tls.client.key);
  }
  if (options.memory)
    config.push('persistence true', `persistence_location ${options.memory}/`, 'max_queued_messages 0');
  const file = join(folder, 'mosquitto.conf');
  writeFileSync(file, `${config.join('\n')}\n`);
  const program = start('/usr/sbin/mosquitto', ['-c', file]);
  await program.line((line) => / running$/.test(line));
  return { port, program, clientArgs, stop: async () => void (await program.stop()) };
}

/** One message as mosquitto_sub received it. */
export interface Received {
  readonly retained: boolean;
  readonly topic: string;
  readonly payload: string;
}

/** A running mosquitto_sub. */
export interface Subscriber {
  /** All messages so far. */
  received(): Received[];
  /** Resolves with the first message, past or future, that `wanted` accepts. */
  message(wanted: (message: Received) => boolean): Promise<Received>;
  /** The same, of messages to come. */
  next(wanted: (message: Received) => boolean): Promise<Received>;
  stop(signal?: NodeJS.Signals): Promise<void>;
}

/**
 * Subscribes at QoS 1; resolves when the broker has acknowledged the subscription.
 * @param session a client id whose session the broker keeps; mosquitto_sub reconnects by itself
 */
export async function subscribe(
  broker: Pick<Broker, 'clientArgs'>,
  filter: string,
  session?: string,
): Promise<Subscriber> {
  const args = ['-d', '-q', '1', '-V', 'mqttv311', '-t', filter, '-F', 'MESSAGE %r %t %p'];
  if (session) args.push('--disable-clean-session', '--id', session);
  // stdbuf: into a pipe it would hold its lines back.
  const program = start('stdbuf', ['-oL', 'mosquitto_sub', ...broker.clientArgs, ...args]);
  await program.line((line) => /^Subscribed/.test(line));
  const message = async (wanted: (message: Received) => boolean, from: number): Promise<Received> => {
    const line = await program.line((text) => {
      const found = parse(text);
      return found !== undefined && wanted(found);
    }, from);
    return parse(line) as Received;
  };
  return {
    received: () => program.lines.flatMap((line) => parse(line) ?? []),
    message: (wanted) => message(wanted, 0),
    next: (wanted) => message(wanted, program.lines.length),
    stop: async (signal) => void (await program.stop(signal)),
  };
}

function parse(line: string): Received | undefined {
  const [, retained, topic, payload] = /^MESSAGE ([01]) (\S+) (.*)$/.exec(line) ?? [];
  return topic === undefined ? undefined : { retained: retained === '1', topic, payload: payload ?? '' };
}
