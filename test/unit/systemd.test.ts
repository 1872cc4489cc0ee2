import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openLog } from '../../src/ops/log.js';
import { openSystemd } from '../../src/ops/systemd.js';

/** Plays systemd: prints each datagram as a line of JSON, and lets go of descriptors as systemd does (barriers). */
const LISTENER = `
import array, json, os, socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
print(json.dumps("listening"), flush=True)
while True:
    data, control, _, _ = s.recvmsg(65536, socket.CMSG_LEN(64))
    for level, kind, fds in control:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            for fd in array.array("i", fds[:len(fds) - len(fds) % 4]): os.close(fd)
    print(json.dumps(data.decode()), flush=True)
`;

const missing = ['python3', 'systemd-notify'].filter((program) => {
  try {
    execFileSync(program, ['--version'], { stdio: 'ignore' });
    return false;
  } catch {
    return true;
  }
});

describe.skipIf(missing.length > 0)(`systemd (needs python3 and systemd-notify; missing: ${missing})`, () => {
  let folder: string;
  let listener: ChildProcess;
  let lines: AsyncIterator<string>;
  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'tidegate-test-'));
    listener = spawn('python3', ['-c', LISTENER, join(folder, 'notify')], { stdio: ['ignore', 'pipe', 'inherit'] });
    lines = createInterface({ input: listener.stdout as NodeJS.ReadableStream })[Symbol.asyncIterator]();
    expect(await nextMessage()).toBe('listening');
  });
  afterEach(() => {
    listener.kill();
    rmSync(folder, { recursive: true, force: true });
  });

  async function nextMessage(): Promise<string> {
    for (;;) {
      const { value } = await lines.next();
      const message = JSON.parse(value as string) as string;
      if (!message.startsWith('BARRIER=1')) return message;
    }
  }

  function open(env: NodeJS.ProcessEnv, stuck: () => Promise<string | undefined>) {
    const said: Record<string, unknown>[] = [];
    const { log } = openLog({ level: 'debug', to: (line) => void said.push(JSON.parse(line)) });
    const systemd = openSystemd({
      env: { ...process.env, NOTIFY_SOCKET: join(folder, 'notify'), ...env },
      log,
      stuck,
      status: () => '2 devices online',
    });
    return { said, systemd };
  }

  test('is told of readiness, of life at half the period, and of the end', async () => {
    const { systemd } = open({ WATCHDOG_USEC: '200000' }, async () => undefined);
    await systemd.ready();
    expect((await nextMessage()).trim().split('\n')).toEqual(['READY=1', 'STATUS=2 devices online']);
    expect((await nextMessage()).trim().split('\n')).toEqual(['WATCHDOG=1', 'STATUS=2 devices online']);
    expect(await nextMessage()).toContain('WATCHDOG=1');
    await systemd.stopping();
    let message = await nextMessage();
    while (message.includes('WATCHDOG=1')) message = await nextMessage();
    expect(message.trim()).toBe('STOPPING=1');
  });

  test.each([
    ['something is stuck', async () => 'connection plc does not move', 'connection plc does not move'],
    ['the answer never comes', () => new Promise<undefined>(() => {}), 'no answer within 25 ms'],
    ['asking fails', () => Promise.reject(new Error('store gone')), 'store gone'],
  ])('gets no sign of life when %s', async (_name, stuck, reason) => {
    let asked = 0;
    const asking = new Promise<void>((resolve) => {
      const { systemd, said } = open({ WATCHDOG_USEC: '100000' }, () => {
        if (++asked === 4)
          void systemd.stopping().then(() => {
            expect(said).toEqual([
              expect.objectContaining({ level: 'warn', msg: 'the watchdog is not answered', reason }),
            ]);
            resolve();
          });
        return stuck();
      });
      void systemd.ready();
    });
    await asking;
    expect(await nextMessage()).toContain('READY=1');
    expect((await nextMessage()).trim()).toBe('STOPPING=1');
  });

  test('that watches another process is sent no sign of life', async () => {
    let asked = 0;
    const { systemd } = open({ WATCHDOG_USEC: '1000', WATCHDOG_PID: '1' }, async () => void asked++ as undefined);
    await systemd.ready();
    await systemd.stopping();
    expect(await nextMessage()).toContain('READY=1');
    expect((await nextMessage()).trim()).toBe('STOPPING=1');
    expect(asked).toBe(0);
  });

  test('that cannot be reached is a warning, said once', async () => {
    const { systemd, said } = open({ NOTIFY_SOCKET: join(folder, 'nobody') }, async () => undefined);
    await systemd.ready();
    await systemd.stopping();
    expect(said).toEqual([expect.objectContaining({ level: 'warn', msg: expect.stringContaining('systemd') })]);
  });
});

test('without systemd nothing is sent and nothing is asked', async () => {
  const { log } = openLog({ level: 'debug', to: () => expect.unreachable() });
  const systemd = openSystemd({
    env: { WATCHDOG_USEC: '1' },
    log,
    stuck: () => expect.unreachable(),
    status: () => '',
  });
  await systemd.ready();
  await systemd.stopping();
});
