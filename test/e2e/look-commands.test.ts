/** `scan` and `decode` on a real wire: by way of the gateway that holds it, between its polls, or on a wire of their own. */
import { once } from 'node:events';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ask, heard } from '../support/asker.js';
import { run, runGateway, start } from '../support/command.js';
import {
  type Asked,
  frame,
  holdNext,
  type ModbusPeer,
  refusing,
  startModbusPeer,
  truthful,
  wordAt,
} from '../support/modbus-peer.js';
import { meterProfile, SiteFolder } from '../support/site-folder.js';

const IDENTITY = [43, 14, 1, 1, 0, 0, 1, 0, 4, ...Buffer.from('Acme')];

let folder: SiteFolder;
let peer: ModbusPeer;
let connections: Set<object>;
beforeEach(async () => {
  connections = new Set();
  peer = await startModbusPeer((asked) => {
    connections.add(asked.socket);
    if (asked.unit === 3) return asked.code === 43 ? frame(asked.id, 3, IDENTITY) : refusing(asked, 2);
    return asked.unit === 1 ? (asked.code === 43 ? refusing(asked, 1) : truthful(asked)) : undefined;
  });
  folder = new SiteFolder();
  folder.write('device-profiles/acme/meter.yaml', meterProfile('acme/meter', '50ms'));
  say('300ms');
});
afterEach(() => peer.close());

function say(timeout: string): void {
  folder.say({
    connections: { hall: { driver: 'modbus', tcp: `127.0.0.1:${peer.port}`, timeout } },
    devices: { 'meter-1': { profile: 'acme/meter', connection: 'hall', unit: 1 } },
    upstreams: { cloud: { url: 'mqtt://127.0.0.1:9' } },
  });
}

const tidegate = (...words: string[]) => run(words, { cwd: folder.path });
const askedOf = (unit: number): Asked[] => peer.asked.filter((asked) => asked.unit === unit);
const until = (what: () => boolean): Promise<void> => expect.poll(what, { timeout: 15_000, interval: 5 }).toBe(true);

async function gateway(): Promise<void> {
  const running = await runGateway(folder.path);
  await running.seen(/"connected"/);
}

describe.each([
  ['by the gateway that holds the wire', true],
  ['on a wire of their own', false],
])('%s', (_name, running) => {
  beforeEach(async () => {
    if (running) await gateway();
  });

  test('scan finds who is there, who they are, and which device that is', async () => {
    const { code, stdout } = await tidegate('scan', 'hall', '--from', '1', '--to', '4');
    expect([code, stdout]).toEqual([
      0,
      `found at  says it is              device
unit: 1   does not say who it is  meter-1
unit: 3   Acme                    – not known
`,
    ]);
    const asJson = await tidegate('scan', 'hall', '--from', '2', '--to', '3', '--json');
    expect([asJson.code, JSON.parse(asJson.stdout)]).toEqual([
      0,
      { connection: 'hall', from: 2, to: 3, found: [{ settings: { unit: 3 }, identity: { vendor: 'Acme' } }] },
    ]);
    // A wire of its own is opened once for all places.
    expect(connections.size).toBe(running ? 1 : 2);
  });

  test('scan says that nobody answers', async () => {
    const { code, stdout } = await tidegate('scan', 'hall', '--from', '7', '--to', '7');
    expect([code, stdout]).toEqual([1, 'nobody answers on hall, from 7 to 7\n']);
  });

  test('decode shows what stands at an address, and marks what comes near', async () => {
    const high = wordAt(53).toString(16).padStart(4, '0').toUpperCase();
    const { code, stdout } = await tidegate('decode', 'meter-1', 'holding:53', '--expect', `${wordAt(53)}`);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^read as +holding 52 \(0x0034\) +holding 53 \(0x0035\) +holding 54 \(0x0036\)$/m);
    expect(stdout).toMatch(new RegExp(`^raw +\\w{4} +${high} `, 'm'));
    expect(stdout).toMatch(new RegExp(`^uint16 AB .* ${wordAt(53)} {2}←`, 'm'));
    const asJson = await tidegate('decode', 'meter-1', 'holding:53', '--json');
    expect(JSON.parse(asJson.stdout)).toMatchObject({ device: 'meter-1', places: { length: 3 }, raw: { 1: high } });
    expect(connections.size === 1).toBe(running);
  });

  test('decode what is no place, and what cannot be read', async () => {
    const none = await tidegate('decode', 'meter-1', 'coil:3');
    expect([none.code, none.stderr]).toEqual([2, expect.stringContaining('[USAGE]')]);
    const { answer } = peer;
    peer.answer = (asked) => (asked.address >= 52 ? refusing(asked, 2) : answer(asked));
    const unread = await tidegate('decode', 'meter-1', 'holding:53');
    expect([unread.code, unread.stderr]).toEqual([1, expect.stringContaining('illegal data address')]);
  });
});

describe('while the gateway polls', () => {
  test('a scan leaves its polls their turns, and the connection as it is', async () => {
    await gateway();
    await tidegate('scan', 'hall', '--from', '10', '--to', '15');
    const at = peer.asked.map(({ unit }) => unit);
    // Units that are not there cost a time limit each; between two of them the meter is read.
    for (let unit = 10; unit < 15; unit += 1) expect(at.slice(at.indexOf(unit), at.indexOf(unit + 1))).toContain(1);
    expect(connections.size).toBe(1);
  });

  test('when whoever scans goes away, no other unit is asked, and polling goes on', async () => {
    await gateway();
    const scan = start(['scan', 'hall', '--from', '20', '--to', '200'], { cwd: folder.path });
    await until(() => askedOf(21).length > 0);
    scan.child.kill('SIGKILL');
    await scan.finished;
    const polls = askedOf(1).length;
    await until(() => askedOf(1).length > polls + 20);
    const units = new Set(peer.asked.map(({ unit }) => unit));
    // The one under way, and at most the next, whose request was already at the gateway.
    expect([...units].filter((unit) => unit > 23)).toEqual([]);
    expect(connections.size).toBe(1);
  });

  test('what waits for its turn is given up with whoever asked', async () => {
    say('20s');
    await gateway();
    const held = await holdNext(peer);
    const asker = await ask(folder.path, { ask: 'scan', connection: 'hall', place: 99 });
    await heard(asker);
    asker.destroy();
    // Within its next signs of life the gateway learns that nobody is there.
    const watcher = await ask(folder.path, { ask: 'watch' });
    for (let second = 0; second < 3; second += 1) await once(watcher, 'data');
    watcher.destroy();
    held.release();
    const polls = askedOf(1).length;
    await until(() => askedOf(1).length > polls + 5);
    expect(askedOf(99)).toEqual([]);
  });
});
