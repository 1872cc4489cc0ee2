import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openLog } from '../../src/ops/log.js';
import { openSystemd } from '../../src/ops/systemd.js';
import { missingForNotify, type NotifySocket, openNotifySocket } from '../support/notify-socket.js';

describe.skipIf(missingForNotify.length > 0)(
  `systemd (missing here: ${missingForNotify.join(', ') || 'nothing'})`,
  () => {
    let folder: string;
    let socket: NotifySocket;
    beforeEach(async () => {
      folder = mkdtempSync(join(tmpdir(), 'tidegate-test-'));
      socket = await openNotifySocket(folder);
    });
    afterEach(() => {
      socket.close();
      rmSync(folder, { recursive: true, force: true });
    });

    function open(env: NodeJS.ProcessEnv, stuck: () => Promise<string | undefined>) {
      const said: Record<string, unknown>[] = [];
      const { log } = openLog({ level: 'debug', to: (line) => void said.push(JSON.parse(line)) });
      const systemd = openSystemd({
        env: { ...process.env, NOTIFY_SOCKET: socket.path, ...env },
        log,
        stuck,
        status: () => '2 devices online',
      });
      return { said, systemd };
    }

    test('is told of readiness, of life at half the period, and of the end', async () => {
      const { systemd } = open({ WATCHDOG_USEC: '200000' }, async () => undefined);
      await systemd.ready();
      expect(await socket.next()).toEqual(['READY=1', 'STATUS=2 devices online']);
      expect(await socket.next()).toEqual(['WATCHDOG=1', 'STATUS=2 devices online']);
      expect(await socket.next()).toContain('WATCHDOG=1');
      await systemd.stopping();
      let message = await socket.next();
      while (message.includes('WATCHDOG=1')) message = await socket.next();
      expect(message).toEqual(['STOPPING=1']);
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
      expect(await socket.next()).toContain('READY=1');
      expect(await socket.next()).toEqual(['STOPPING=1']);
    });

    test('that watches another process is sent no sign of life', async () => {
      let asked = 0;
      const { systemd } = open({ WATCHDOG_USEC: '1000', WATCHDOG_PID: '1' }, async () => void asked++ as undefined);
      await systemd.ready();
      await systemd.stopping();
      expect(await socket.next()).toContain('READY=1');
      expect(await socket.next()).toEqual(['STOPPING=1']);
      expect(asked).toBe(0);
    });

    test('that cannot be reached is a warning, said once', async () => {
      const { systemd, said } = open({ NOTIFY_SOCKET: join(folder, 'nobody') }, async () => undefined);
      await systemd.ready();
      await systemd.stopping();
      expect(said).toEqual([expect.objectContaining({ level: 'warn', msg: expect.stringContaining('systemd') })]);
    });
  },
);

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
