/** Plays systemd's side of sd_notify(3), with Debian's python3: Node opens no unix datagram sockets. */
import { execFileSync, spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

/** Prints each datagram as a line of JSON, and lets go of descriptors as systemd does (sd_notify_barrier(3)). */
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

/** A listening socket. */
export interface NotifySocket {
  /** For `NOTIFY_SOCKET`. */
  readonly path: string;
  /** The next message, each line an entry; barriers are left out. */
  next(): Promise<string[]>;
  close(): void;
}

/** The programs that are needed and not there. */
export const missingForNotify = ['python3', 'systemd-notify'].filter((program) => {
  try {
    execFileSync(program, ['--version'], { stdio: 'ignore' });
    return false;
  } catch {
    return true;
  }
});

/** Listens in a folder. */
export async function openNotifySocket(folder: string): Promise<NotifySocket> {
  const path = join(folder, 'notify');
  const listener = spawn('python3', ['-c', LISTENER, path], { stdio: ['ignore', 'pipe', 'inherit'] });
  const lines = createInterface({ input: listener.stdout })[Symbol.asyncIterator]();
  const next = async () => {
    for (;;) {
      const { value, done } = await lines.next();
      if (done) throw new Error('the listener has ended');
      const message = JSON.parse(value) as string;
      if (!message.startsWith('BARRIER=1')) return message.trim().split('\n');
    }
  };
  await next();
  return { path, next, close: () => void listener.kill() };
}
