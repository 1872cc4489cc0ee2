/** The command line's words: every command, argument, option and example. What a command does is loaded when it is asked for. */
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { KEPT_LANES } from '../model.js';
import { duration } from '../units.js';
import { VERSION } from '../version.js';
import { EXIT, showError } from './exit.js';
import { find } from './find.js';

const CONFIG = ['-c, --config <file>', 'the gateway.yaml to use', 'gateway.yaml'] as const;
const UPSTREAM = ['-u, --upstream <id>', 'of this upstream alone'] as const;
const JSON_FLAG = ['--json', 'print JSON, for programs'] as const;

const EXIT_CODES = `
Exit codes:
  0  done
  1  what was asked for failed: a device does not answer, a file cannot be written
  2  the command line is wrong
  3  the configuration, a profile or a rule is wrong
  4  another Tidegate uses the same data folder`;

/** Runs a command line (without node and script). Gives the exit code; what went wrong has been shown. */
export async function runCommandLine(words: readonly string[]): Promise<number> {
  const asked: { code: number } = { code: EXIT.ok };
  const program = describeProgram(asked);
  try {
    await program.parseAsync([...words], { from: 'user' });
    return asked.code;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
    return showError(error, words.includes('--json'));
  }
}

/** The whole command line as commander knows it. */
export function describeProgram(asked: { code: number } = { code: EXIT.ok }): Command {
  const program = new Command('tidegate')
    .description('Polls field devices, keeps every event through an outage, delivers upstream over MQTT.')
    .version(VERSION, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print help')
    .helpCommand('help [command]', 'print help for a command')
    .configureHelp({ showGlobalOptions: false })
    .showHelpAfterError('(tidegate --help lists commands; tidegate COMMAND --help explains one)')
    .exitOverride()
    .addHelpText('after', EXIT_CODES);

  /** Adds a command; its work is loaded only when it is asked for. */
  const add = (parent: Command, usage: string, about: string, examples: string[]): Command =>
    parent.command(usage).description(about).addHelpText('after', exampleText(examples)).exitOverride();
  const act =
    <Arguments extends unknown[]>(load: () => Promise<(...words: Arguments) => Promise<number>>) =>
    async (...words: Arguments) => {
      asked.code = await (await load())(...words);
    };

  add(program, 'run [file]', 'run the gateway until it is told to stop (default file: gateway.yaml)', [
    'tidegate run',
    'tidegate run /etc/tidegate/gateway.yaml',
  ])
    .option('--json', 'log JSON lines, also on a terminal')
    .action(act(async () => (await import('./run.js')).run));

  add(program, 'check [path]', 'check a gateway.yaml with its profiles and rules, or profiles alone', [
    'tidegate check',
    'tidegate check gateway.yaml --json',
    'tidegate check device-profiles/acme/press.yaml',
    'tidegate check device-profiles',
  ])
    .option(...JSON_FLAG)
    .action(act(async () => (await import('./check.js')).check));

  add(program, 'reload', 'have the running gateway take up a changed configuration, whole or not at all', [
    'tidegate reload --dry-run',
    'tidegate reload --config /etc/tidegate/gateway.yaml',
  ])
    .option(...CONFIG)
    .option('-n, --dry-run', 'only say what would change')
    .option(...JSON_FLAG)
    .action(act(async () => (await import('./reload.js')).reload));

  add(program, 'init [folder]', 'write a commented gateway.yaml after a few questions', [
    'tidegate init',
    'tidegate init site-7 --yes',
  ])
    .option('-y, --yes', 'ask nothing, take the defaults')
    .option('-f, --force', 'overwrite a gateway.yaml that is there')
    .action(act(async () => (await import('./init.js')).init));

  add(program, 'read <device> [points...]', 'read a device once, now: raw words, decoded and scaled values', [
    'tidegate read meter-1',
    'tidegate read meter-1 voltage_l1 active_power --json',
  ])
    .option(...CONFIG)
    .option(...JSON_FLAG)
    .action(act(async () => (await import('./read.js')).read));

  add(program, 'write <device> <point> <value>', 'write a value to a point, now: checked, unscaled, read back', [
    'tidegate write heat-pump-1 temperature_target_1 42.5',
    'tidegate write heat-pump-1 operation_mode heating --json',
  ])
    .option(...CONFIG)
    .option(...JSON_FLAG)
    .action(act(async () => (await import('./write.js')).write));

  add(
    program,
    'decode <device> <address>',
    'show what stands at an address, in every type and order that it may be meant',
    ['tidegate decode meter-1 input:52', 'tidegate decode meter-1 0x34 --expect 230.5'],
  )
    .option('-e, --expect <number>', 'what the device itself shows: ways that come near are marked', parseNumber)
    .option(...CONFIG)
    .option(...JSON_FLAG)
    .action(act(async () => (await import('./decode.js')).decode));

  add(program, 'scan <connection>', 'look for devices on a wire', [
    'tidegate scan meters',
    'tidegate scan meters --from 1 --to 32',
  ])
    .option('--from <number>', 'first place to look at (unit id)', parseWhole)
    .option('--to <number>', 'last place to look at', parseWhole)
    .option('-r, --register', 'have the register of devices keep what is found; what is new waits for approval there')
    .option(...CONFIG)
    .option(...JSON_FLAG)
    .action(act(async () => (await import('./scan.js')).scan));

  add(program, 'watch', 'show live values of the running gateway; if none runs, poll without delivering', [
    'tidegate watch',
    'tidegate watch --config /etc/tidegate/gateway.yaml --json',
  ])
    .option(...CONFIG)
    .option(...JSON_FLAG)
    .action(act(async () => (await import('./watch.js')).watch));

  add(program, 'simulate <what>', 'serve a profile, or all devices of a gateway.yaml, over their own protocol', [
    'tidegate simulate eastron/sdm630',
    'tidegate simulate eastron/sdm630 --serial /dev/ttyUSB1 --baud 9600',
    'tidegate simulate gateway.yaml --host 0.0.0.0 --port 1502',
    'tidegate simulate eastron/sdm630 --fault timeout:5% --fault exception:2% --fault delay:200ms',
  ])
    .option('--host <address>', 'address to listen on', '127.0.0.1')
    .option('--port <number>', 'port to listen on; 0 takes a free one', parsePort, 5020)
    .option('--serial <path>', 'answer on a serial port instead')
    .option('--baud <number>', 'bits per second of the serial port', parseCount)
    .option('--parity <parity>', 'parity of the serial port: none, even or odd')
    .addOption(
      new Option(
        '--fault <fault>',
        'do wrong on purpose: timeout, exception, garbage or drop:5%, delay:200ms; repeatable',
      )
        .argParser(collect)
        .default([], 'none'),
    )
    .option('--seed <number>', 'do wrong in the same order as before', parseWhole)
    .option(...JSON_FLAG)
    .action(act(async () => (await import('./simulate.js')).simulate));

  add(program, 'browse <connection> [path]', "show a server's tree of names, or write a profile from it", [
    'tidegate browse press',
    'tidegate browse press Line3/Press --depth 3',
    'tidegate browse press --match "*temp*" --save acme/press',
  ])
    .option('-d, --depth <number>', 'levels below the path (default: 1; with --save 10)', parseCount)
    .option('-m, --match <text...>', 'only values whose path or name has this text; * stands for anything')
    .option('-s, --save <profile>', 'write a profile of the values, <vendor>/<model>, among your own')
    .option(...CONFIG)
    .option(...JSON_FLAG)
    .action(act(async () => (await import('./browse.js')).browse));

  const trust = add(program, 'trust', 'decide whose certificates are trusted', [
    'tidegate trust list',
    'tidegate trust approve press',
  ]);
  add(trust, 'list', 'certificates that wait for a decision, and those decided on', [
    'tidegate trust list',
    'tidegate trust list --json',
  ])
    .option(...CONFIG)
    .option(...JSON_FLAG)
    .action(act(async () => (await import('./trust.js')).trustList));
  add(trust, 'approve <certificate>', 'trust one: by its connection, or the beginning of its fingerprint', [
    'tidegate trust approve press',
    'tidegate trust approve 3f9ac0d1',
  ])
    .option(...CONFIG)
    .option(...JSON_FLAG)
    .action(act(async () => (await import('./trust.js')).trustApprove));
  add(trust, 'reject <certificate>', 'reject one that waits', ['tidegate trust reject press'])
    .option(...CONFIG)
    .option(...JSON_FLAG)
    .action(act(async () => (await import('./trust.js')).trustReject));
  add(trust, 'revoke <certificate>', 'take trust back; a running gateway leaves that server', [
    'tidegate trust revoke 3f9ac0d1',
  ])
    .option(...CONFIG)
    .option(...JSON_FLAG)
    .action(act(async () => (await import('./trust.js')).trustRevoke));
  add(
    trust,
    'add <file>',
    "trust a certificate from a file, a server's or an authority's; or take its revocation list",
    ['tidegate trust add plant-ca.pem', 'tidegate trust add plant-ca.crl'],
  )
    .option(...CONFIG)
    .option(...JSON_FLAG)
    .action(act(async () => (await import('./trust.js')).trustAdd));
  add(trust, 'export [file]', 'write our own certificate, for servers to trust (default: tidegate-opcua.der)', [
    'tidegate trust export',
    'tidegate trust export tidegate.pem --renew',
  ])
    .option('--renew', 'make a new key and certificate first; every server must trust it anew')
    .option(...CONFIG)
    .option(...JSON_FLAG)
    .action(act(async () => (await import('./trust.js')).trustExport));

  const broker = add(program, 'broker', 'set up the local MQTT broker', ['tidegate broker password']);
  add(broker, 'password', 'hash a password for `broker.users` in gateway.yaml', [
    'tidegate broker password',
    'tidegate broker password < shelly.password',
  ]).action(act(async () => (await import('./broker-password.js')).brokerPassword));
  const devices = add(program, 'devices', 'the register of devices: how each stands, which wait for approval', [
    'tidegate devices',
    'tidegate devices approve plug-3 --as hall-plug',
  ]);
  const devicesModule = () => import('./devices.js');
  devices
    .command('list', { isDefault: true })
    .description('all devices, those that wait for approval first')
    .addHelpText('after', exampleText(['tidegate devices', 'tidegate devices --json']))
    .exitOverride()
    // Whatever follows `devices` and is none of its commands comes here.
    .allowExcessArguments()
    .hook('preAction', (_, list) => {
      const names = devices.commands.map((command) => ({ id: command.name() }));
      if (list.args[0] !== undefined) find(names, list.args[0], 'command of devices');
    })
    .option(...CONFIG)
    .option(...JSON_FLAG)
    .action(act(async () => (await devicesModule()).list));
  add(devices, 'show <device>', 'all that is known of one device', ['tidegate devices show meter-1'])
    .option(...CONFIG)
    .option(...JSON_FLAG)
    .action(act(async () => (await devicesModule()).show));
  add(devices, 'history <device>', 'what happened to a device, the oldest first', ['tidegate devices history meter-1'])
    .option(...CONFIG)
    .option(...JSON_FLAG)
    .action(act(async () => (await devicesModule()).history));
  add(devices, 'approve <device>', 'take a device that waits, or is retired, into service', [
    'tidegate devices approve plug-3',
    'tidegate devices approve meters-17 --profile eastron/sdm120 --as meter-17',
  ])
    .option('-p, --profile <profile>', 'its device profile, where it did not come with one that fits')
    .option('--as <name>', 'what it is to be called')
    .option(...CONFIG)
    .option(...JSON_FLAG)
    .action(act(async () => (await devicesModule()).approve));
  add(devices, 'add <device>', 'add a device that is not in gateway.yaml', [
    'tidegate devices add meter-17 --profile eastron/sdm120 --connection meters --set unit=17 --tag area=north',
  ])
    .requiredOption('-p, --profile <profile>', 'its device profile')
    .requiredOption('--connection <id>', 'where it is wired')
    .option('-s, --set <key=value...>', "the driver's keys of a device, as in gateway.yaml", parsePair)
    .option('-t, --tag <name=text...>', 'labels, for rules to match', parsePair)
    .option(...CONFIG)
    .option(...JSON_FLAG)
    .action(act(async () => (await devicesModule()).add));
  add(devices, 'disable <device>', 'stop polling a device; it stays known', ['tidegate devices disable meter-17'])
    .option(...CONFIG)
    .option(...JSON_FLAG)
    .action(act(async () => (await devicesModule()).disable));
  add(devices, 'enable <device>', 'poll a disabled device again', ['tidegate devices enable meter-17'])
    .option(...CONFIG)
    .option(...JSON_FLAG)
    .action(act(async () => (await devicesModule()).enable));
  add(devices, 'retire <device>', 'take a device out of service, or refuse one that waits; its history is kept', [
    'tidegate devices retire meter-17',
  ])
    .option(...CONFIG)
    .option(...JSON_FLAG)
    .action(act(async () => (await devicesModule()).retire));

  const outbox = add(program, 'outbox', 'look into the outboxes', [
    'tidegate outbox status',
    'tidegate outbox peek --lane rejected',
  ]);
  add(outbox, 'status', 'what waits for each upstream, from the running gateway or from the files', [
    'tidegate outbox status',
    'tidegate outbox status --config /etc/tidegate/gateway.yaml --json',
  ])
    .option(...CONFIG)
    .option(...JSON_FLAG)
    .action(act(async () => (await import('./outbox.js')).outboxStatus));

  add(outbox, 'peek', 'show the oldest events of each lane that are kept', [
    'tidegate outbox peek',
    'tidegate outbox peek --upstream cloud --lane rejected --count 3',
  ])
    .option(...UPSTREAM)
    .addOption(laneOption())
    .option('-n, --count <number>', 'how many of each lane', parseCount, 10)
    .option(...CONFIG)
    .action(act(async () => (await import('./outbox-events.js')).peek));
  add(outbox, 'export', 'write all events that are kept to stdout or a file; they stay in the outbox', [
    'tidegate outbox export > events.ndjson',
    'tidegate outbox export --format csv --lane live --output events.csv',
  ])
    .option(...UPSTREAM)
    .addOption(laneOption())
    .addOption(
      new Option('--format <format>', 'ndjson: the messages; csv: a line for each reading')
        .choices(['ndjson', 'csv'])
        .default('ndjson'),
    )
    .option('-o, --output <file>', 'a new file to write to')
    .option(...CONFIG)
    .action(act(async () => (await import('./outbox-events.js')).exportEvents));

  add(outbox, 'requeue', 'send again what a broker refused for good, once it would take it', [
    'tidegate outbox requeue',
    'tidegate outbox requeue --upstream cloud',
  ])
    .option(...UPSTREAM)
    .option(...CONFIG)
    .action(act(async () => (await import('./outbox-changes.js')).requeue));
  add(outbox, 'purge', 'remove events for good, after asking; a gap tells the upstream of those that waited', [
    'tidegate outbox purge --lane rejected',
    'tidegate outbox purge --upstream old-cloud --yes',
  ])
    .option(...UPSTREAM)
    .addOption(laneOption())
    .option('-y, --yes', 'ask nothing')
    .option(...CONFIG)
    .action(act(async () => (await import('./outbox-changes.js')).purge));

  add(program, 'demo', 'see it work: simulated devices, a stand-in cloud, and an outage', [
    'tidegate demo',
    'tidegate demo --once --cut-after 2s --cut-for 1s',
  ])
    .option('--once', 'end after the count; exit code 0 only if nothing was lost or out of order')
    .addOption(
      new Option('--cut-after <duration>', 'when the uplink is cut').argParser(parseDuration).default(20_000, '20s'),
    )
    .addOption(new Option('--cut-for <duration>', 'for how long').argParser(parseDuration).default(10_000, '10s'))
    .option('--json', 'log JSON lines, and print the count as JSON')
    .action(act(async () => (await import('./demo.js')).demo));
  return program;
}

function exampleText(examples: readonly string[]): string {
  return `\nExample${examples.length > 1 ? 's' : ''}:\n${examples.map((line) => `  ${line}`).join('\n')}`;
}

function laneOption(): Option {
  const about = 'of this lane alone; live is all telemetry, rejected what was refused for good';
  return new Option('-l, --lane <lane>', about).choices(KEPT_LANES);
}

function parseCount(text: string): number {
  const count = Number(text);
  if (!/^\d+$/.test(text) || count < 1) throw new InvalidArgumentError('Write a whole number, 1 or more.');
  return count;
}

function parseWhole(text: string): number {
  if (!/^\d{1,10}$/.test(text)) throw new InvalidArgumentError('Write a whole number.');
  return Number(text);
}

function parseNumber(text: string): number {
  const number = text.trim() === '' ? Number.NaN : Number(text);
  if (!Number.isFinite(number)) throw new InvalidArgumentError('Write a number, such as 230.5.');
  return number;
}

const collect = (text: string, before: readonly string[] = []): string[] => [...before, text];

/** Collects `key=value`, each key once. */
function parsePair(text: string, before: readonly string[] = []): string[] {
  const [key] = /^[^=]+=/.exec(text) ?? [];
  if (key === undefined) throw new InvalidArgumentError('Write a name, = and a value.');
  if (before.some((pair) => pair.startsWith(key))) throw new InvalidArgumentError(`${key} was given before.`);
  return collect(text, before);
}
function parsePort(text: string): number {
  const port = Number(text);
  if (!/^\d+$/.test(text) || port > 65_535) throw new InvalidArgumentError('Write a number from 0 to 65535.');
  return port;
}

function parseDuration(text: string): number {
  const parsed = duration.safeParse(text);
  if (!parsed.success) throw new InvalidArgumentError('Write a duration with its unit, such as 500ms, 10s or 2m.');
  return parsed.data;
}
