import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { run, start } from '../support/command.js';

let temporary: string;
beforeEach(() => {
  temporary = mkdtempSync(join(tmpdir(), 'tidegate-test-'));
});
afterEach(() => rmSync(temporary, { recursive: true, force: true }));

const TIMES = ['--cut-after', '2500ms', '--cut-for', '2500ms'];

test('an outage in the middle loses nothing and keeps the order', { timeout: 60_000 }, async () => {
  const { code, stdout, stderr } = await run(['demo', '--once', ...TIMES], { env: { TMPDIR: temporary } });
  expect(stderr).toBe('');
  const counts = [
    ...stdout.matchAll(/^sent (\d+) · received (\d+) · lost (\d+) · duplicates \d+ · out of order (\d+)$/gm),
  ];
  expect(counts).toHaveLength(1);
  const [sent, received, lost, outOfOrder] = (counts[0] ?? []).slice(1).map(Number);
  expect(sent).toBeGreaterThan(5);
  expect([received, lost, outOfOrder, code]).toEqual([sent, 0, 0, 0]);
  // In the order in which it happened: the outage was noticed, events waited, the link came back.
  expect(stdout).toMatch(
    /The uplink is cut.*not connected.*The uplink is back.*connected.*The outbox is empty.*sent /s,
  );
  expect(readdirSync(temporary)).toEqual([]);
});

test('for programs: lines of JSON, the count last', { timeout: 60_000 }, async () => {
  const { code, stdout } = await run(['demo', '--once', '--json', ...TIMES], { env: { TMPDIR: temporary } });
  const lines = stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  expect(code).toBe(0);
  expect(lines.find((line) => 'sent' in line)).toMatchObject({
    lost: 0,
    outOfOrder: 0,
    duplicates: expect.any(Number),
  });
});

test('Ctrl-C ends it at any time, and nothing is left behind', async () => {
  const demo = start(['demo'], { env: { TMPDIR: temporary } });
  await demo.seen(/gateway started/);
  expect(readdirSync(temporary)).toHaveLength(1);
  demo.child.kill('SIGINT');
  expect(await demo.finished).toMatchObject({ code: 0, stderr: '' });
  expect(readdirSync(temporary)).toEqual([]);
});
