import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { start } from '../support/command.js';
import { missingForNotify, openNotifySocket } from '../support/notify-socket.js';

let cwd: string;
beforeEach(() => {
  cwd = mkdtempSync(join(tmpdir(), 'tidegate-test-'));
  // A device that nobody answers for, on a port that refuses: a gateway that waits is well.
  writeFileSync(
    join(cwd, 'gateway.yaml'),
    `gateway: plant-7
connections: { plc: { driver: modbus, tcp: "127.0.0.1:9" } }
devices: { meter-1: { profile: eastron/sdm120, connection: plc } }
upstreams: { cloud: { url: "mqtt://127.0.0.1:9" } }
`,
  );
});
afterEach(() => rmSync(cwd, { recursive: true, force: true }));

const missing = missingForNotify.join(', ') || 'nothing';

test.skipIf(missing !== 'nothing')(
  `systemd is told of the whole life of a gateway (missing here: ${missing})`,
  async () => {
    const socket = await openNotifySocket(cwd);
    const env = { NOTIFY_SOCKET: socket.path, WATCHDOG_USEC: '300000' };
    const gateway = start(['run'], { cwd, env });
    const status = expect.stringMatching(/^STATUS=0 of 1 devices, 0 of 1 upstreams online$/);
    expect(await socket.next()).toEqual(['READY=1', status]);
    expect(await socket.next()).toEqual(['WATCHDOG=1', status]);
    expect(await socket.next()).toEqual(['WATCHDOG=1', status]);
    gateway.child.kill('SIGTERM');
    let message = await socket.next();
    while (message.includes('WATCHDOG=1')) message = await socket.next();
    expect(message).toEqual(['STOPPING=1']);
    expect(await gateway.finished).toMatchObject({ code: 0 });
    socket.close();
  },
);

test.each(['SIGINT', 'SIGTERM'] as const)('%s ends a gateway cleanly', async (signal) => {
  const gateway = start(['run'], { cwd });
  await gateway.seen(/"gateway started"/);
  gateway.child.kill(signal);
  const { code, stdout } = await gateway.finished;
  expect(code).toBe(0);
  expect(stdout).toMatch(new RegExp(`"signal":"${signal}","msg":"stopping".*"msg":"stopped"`, 's'));
});

test('SIGHUP has it read its configuration again', async () => {
  const gateway = start(['run'], { cwd });
  await gateway.seen(/"gateway started"/);
  gateway.child.kill('SIGHUP');
  await gateway.seen(/"by":"signal","msg":"reloaded: nothing has changed"/);
  writeFileSync(join(cwd, 'gateway.yaml'), 'gateway: plant-7\ndevises: {}\n');
  gateway.child.kill('SIGHUP');
  await gateway.seen(/"level":"error".*"code":"CONFIG_UNKNOWN_KEY".*"line":2,"column":1/);
  gateway.child.kill('SIGTERM');
  expect(await gateway.finished).toMatchObject({ code: 0, stdout: expect.stringContaining('"stopped"') });
});

test('a gateway with nothing to do says so, and waits', async () => {
  writeFileSync(join(cwd, 'gateway.yaml'), 'gateway: plant-7\n');
  const gateway = start(['run'], { cwd });
  await gateway.seen(/"level":"warn".*"msg":"there is no upstream: nothing will be sent"/);
  await gateway.seen(/"gateway started"/);
  gateway.child.kill('SIGTERM');
  expect(await gateway.finished).toMatchObject({ code: 0, stderr: '' });
});

test('a data folder that cannot be used: exit code 1, and what to do', async () => {
  writeFileSync(join(cwd, 'data'), 'a file in its place');
  const { code, stderr } = await start(['run'], { cwd }).finished;
  expect([code, stderr]).toEqual([1, expect.stringMatching(/data.*\[OUTBOX_OPEN\]/)]);
});

test('the same Ctrl-C twice, as npm passes it on, is one', async () => {
  const gateway = start(['run'], { cwd });
  await gateway.seen(/"gateway started"/);
  gateway.child.kill('SIGINT');
  gateway.child.kill('SIGTERM');
  expect(await gateway.finished).toMatchObject({ code: 0, stdout: expect.stringContaining('"stopped"') });
});

test('a killed gateway leaves nothing that keeps the next one from starting', async () => {
  const killed = start(['run'], { cwd });
  await killed.seen(/"gateway started"/);
  killed.child.kill('SIGKILL');
  await killed.finished;
  const next = start(['run'], { cwd });
  await next.seen(/"gateway started"/);
  next.child.kill('SIGTERM');
  const { code, stdout } = await next.finished;
  expect(code).toBe(0);
  expect(stdout).not.toContain('no control socket');
});
