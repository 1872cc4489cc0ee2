/** `tidegate outbox`, as a person at the gateway types it. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import type { Event } from '../../src/model.js';
import { run } from '../support/command.js';
import { ScriptedBroker } from '../support/scripted-broker.js';
import { event, openTestUpstream } from '../support/upstream.js';

const NOBODY = 'mqtt://127.0.0.1:1';
const QUICK = { version: '5', buffer: { flush: '40ms' } };

let cwd: string;
let data: string;
beforeEach(() => {
  cwd = mkdtempSync(join(tmpdir(), 'tidegate-test-'));
  data = join(cwd, 'data');
  onTestFinished(() => rmSync(cwd, { recursive: true, force: true }));
  configure({ cloud: NOBODY });
});

/** Writes a gateway.yaml with these upstreams and no devices. */
function configure(upstreams: Record<string, string>): void {
  const lines = Object.entries(upstreams).map(([id, url]) => `  ${id}: { url: "${url}", password: "\${env:NONE}" }`);
  writeFileSync(join(cwd, 'gateway.yaml'), ['gateway: g', 'upstreams:', ...lines, ''].join('\n'));
}

/** Leaves events on disk, as a gateway that was stopped. */
async function leave(...events: Event[]): Promise<void> {
  const upstream = await openTestUpstream(NOBODY, data, QUICK);
  for (const each of events) upstream.accept(each);
  await upstream.close();
}

/** Leaves events that a broker refused. */
async function leaveRejected(...events: Event[]): Promise<void> {
  const broker = await ScriptedBroker.start({ publish: (_, { topic }) => ({ reasonCode: topic === 'g' ? 0 : 0x90 }) });
  onTestFinished(() => broker.stop());
  const upstream = await openTestUpstream(broker.url, data, { ...QUICK, gap_topic: 'g' });
  for (const each of events) upstream.accept(each);
  await vi.waitFor(() => expect(upstream.status().rejections?.kept).toBe(events.length));
  await broker.until(() => broker.published.some(({ topic }) => topic === 'g'));
  await upstream.close();
}

const outbox = (...words: string[]) => run(['outbox', ...words], { cwd });
const lines = (text: string) => text.trimEnd().split('\n');
const jsonLines = (text: string) => lines(text).map((line) => JSON.parse(line) as Record<string, unknown>);

describe('peek', () => {
  test('shows the oldest of each lane, the first ten unless told otherwise', async () => {
    await leaveRejected({ ...event(100), topic: 'refused' });
    await leave(event(1, 'alarm'), ...Array.from({ length: 15 }, (_, i) => event(i + 2)));
    const { code, stdout } = await outbox('peek');
    expect(code).toBe(0);
    const [head, alarm, first, ...rest] = lines(stdout);
    expect(head).toMatch(/^upstream +lane +id +time +event$/);
    expect(alarm).toMatch(/^cloud +alarm +g:2:1 +2023-11-14T22:13:20\.001Z +d: n 1, state on$/);
    expect(first).toMatch(/^cloud +live +g:2:2 /);
    expect(rest).toHaveLength(10);
    expect(rest.at(-1)).toMatch(/rejected +g:1:1 .*\(refused: .*topic name invalid \(0x90\).*\)$/);
    expect(lines((await outbox('peek', '--lane', 'live', '-n', '3')).stdout)).toHaveLength(4);
  });

  test('says so where nothing is kept', async () => {
    expect(await outbox('peek')).toMatchObject({ code: 0, stdout: 'Nothing is kept.\n' });
  });

  test.each([
    [['--upstream', 'clod'], 'did you mean "cloud"?'],
    [['--lane', 'backlog'], 'alarm, live, rejected'],
    [['--count', '0'], 'Write a whole number'],
  ])('refuses %s, and says what there is', async (words, advice) => {
    expect(await outbox('peek', ...words)).toMatchObject({ code: 2, stderr: expect.stringContaining(advice) });
  });

  test('a file that is none of ours is named', async () => {
    await leave(event(1));
    writeFileSync(join(data, 'outbox/cloud.sqlite'), 'no database, but long enough to be taken for one'.repeat(30));
    const { code, stderr } = await outbox('peek');
    expect([code, stderr]).toEqual([
      1,
      expect.stringMatching(/cloud\.sqlite cannot be read as an outbox: .*OUTBOX_OPEN/s),
    ]);
  });
});

describe('export', () => {
  test('writes the messages as they would be sent, and where they would go', async () => {
    await leaveRejected({ ...event(9, 'alarm'), topic: 'refused' });
    await leave(event(1), { ...event(2), values: [2n ** 60n, 'off'] });
    const { code, stdout } = await outbox('export');
    expect(code).toBe(0);
    expect(jsonLines(stdout)).toEqual([
      {
        id: 'g:2:1',
        ts: 1_700_000_000_001,
        device: 'd',
        values: { n: 1, state: 'on' },
        late: true,
        upstream: 'cloud',
        topic: 't/live',
        lane: 'live',
      },
      expect.objectContaining({ id: 'g:2:2', values: { n: '1152921504606846976', state: 'off' } }),
      expect.objectContaining({
        id: 'g:1:1',
        lane: 'alarm',
        topic: 'refused',
        rejected: { ts: expect.any(Number), reason: expect.stringContaining('topic name invalid (0x90)') },
      }),
    ]);
    // They stay.
    expect((await outbox('export')).stdout).toBe(stdout);
  });

  test('writes a line for each reading as CSV (RFC 4180), with units where the site tells them', async () => {
    const flaws = new Map([[1, { quality: 'bad' as const, reason: 'timeout' }]]);
    await leave(
      { ...event(1), device: 'meter-1', names: ['voltage', 'x'], values: [230.5, null], flaws },
      { ...event(2), names: ['text'], values: ['says "a,b"\nand more'] },
    );
    writeFileSync(
      join(cwd, 'gateway.yaml'),
      `gateway: g
connections: { plc: { driver: modbus, tcp: 10.0.0.5 } }
devices: { meter-1: { profile: eastron/sdm120, connection: plc } }
upstreams: { cloud: { url: "${NOBODY}", password: "\${env:NONE}" } }
`,
    );
    const file = join(cwd, 'events.csv');
    const { code, stdout, stderr } = await outbox('export', '--format', 'csv', '--output', file);
    expect([code, stdout, stderr]).toEqual([0, '', `2 events written to ${file}. They are still in the outbox.\n`]);
    expect(readFileSync(file, 'utf8').split('\r\n')).toEqual([
      'time,clock,device,point,value,unit,quality,reason,upstream,lane,id,rejected',
      '2023-11-14T22:13:20.001Z,,meter-1,voltage,230.5,V,good,,cloud,live,g:1:1,',
      '2023-11-14T22:13:20.001Z,,meter-1,x,,,bad,timeout,cloud,live,g:1:1,',
      '2023-11-14T22:13:20.002Z,,d,text,"says ""a,b""\nand more",,good,,cloud,live,g:1:2,',
      '',
    ]);
    const again = await outbox('export', '--output', file);
    expect([again.code, again.stderr]).toEqual([2, expect.stringContaining('exists already')]);
  });

  test('tells gaps', async () => {
    await leave(event(1), event(2));
    const { Database } = await import('../../src/ops/sqlite.js');
    const db = new Database(join(data, 'outbox/cloud.sqlite'));
    db.exec("UPDATE live SET gap = 'budget', body = NULL");
    db.close();
    const [gap] = jsonLines((await outbox('export')).stdout);
    expect(gap).toMatchObject({
      id: 'g:1:2-gap',
      topic: 'tidegate/g/gap',
      device: 'd',
      gap: { cause: 'budget', count: 2 },
    });
    expect(lines((await outbox('export', '--format', 'csv')).stdout)[1]).toMatch(
      /,,d,,2,,gap,budget,cloud,live,g:1:2-gap,/,
    );
  });

  test('ends quietly when whoever reads has seen enough', async () => {
    await leave(...Array.from({ length: 20_000 }, (_, i) => event(i)));
    const main = fileURLToPath(new URL('../../src/main.js', import.meta.url));
    const child = spawn(process.execPath, [main, 'outbox', 'export'], { cwd, stdio: ['ignore', 'pipe', 'pipe'] });
    let complaints = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      complaints += text;
    });
    await once(child.stdout, 'data');
    child.stdout.destroy();
    expect(await once(child, 'close')).toEqual([0, null]);
    expect(complaints).toBe('');
  });

  test('reads on while a gateway writes, without holding it up', async () => {
    const upstream = await openTestUpstream(NOBODY, data, QUICK);
    let n = 0;
    const writing = setInterval(() => {
      for (let i = 0; i < 20; i++) upstream.accept(event(++n));
    }, 5);
    onTestFinished(() => clearInterval(writing));
    await vi.waitFor(() => expect(upstream.status().bytesOnDisk).toBeGreaterThan(25_000));
    const { code, stdout } = await outbox('export');
    clearInterval(writing);
    expect(code).toBe(0);
    const numbers = jsonLines(stdout).map(({ values }) => (values as { n: number }).n);
    expect(numbers).toEqual(Array.from({ length: numbers.length }, (_, i) => i + 1));
    expect(numbers.length).toBeGreaterThan(100);
    await upstream.close();
    expect(upstream.status().accounts.live).toMatchObject({ accepted: n, waiting: n });
  });
});
