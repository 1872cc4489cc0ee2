/**
 * The other side of the plugin's protocol. Each line asks `{"id","do",…}` and is answered `{"id",…}`; what was subscribed to is told in
 * lines without an id. Units that hold nothing do not answer.
 */
import { createServer, type Socket } from 'node:net';
import { createInterface } from 'node:readline';

/** Devices, each a number of named values. */
export interface Peer {
  readonly port: number;
  /** Changes a value; whoever subscribed to it is told, with the time of the change if it is given. */
  set(unit: number, name: string, value: unknown, at?: number): void;
  /** From now on the name is refused: it says why. */
  spoil(unit: number, name: string, why: string): void;
  /** From now on nothing is answered. */
  silence(): void;
  /** Ends every connection. */
  cut(): void;
  /** Says a line of its own to everybody. */
  say(line: string): void;
  close(): Promise<void>;
}

interface Request {
  readonly id: number;
  readonly do: string;
  readonly unit: number;
  readonly names?: readonly string[];
  readonly name?: string;
  readonly value?: unknown;
  readonly path?: string;
}

/** Listens; port 0 takes a free one. */
export async function startPeer({ host = '127.0.0.1', port = 0 } = {}): Promise<Peer> {
  const units = new Map<number, Map<string, unknown>>();
  const spoilt = new Map<string, string>();
  const sockets = new Map<Socket, Map<number, readonly string[]>>();
  let silent = false;
  const server = createServer({ noDelay: true }, (socket) => {
    sockets.set(socket, new Map());
    socket.on('error', () => {}).on('close', () => sockets.delete(socket));
    createInterface(socket)
      .on('error', () => {})
      .on('line', (line) => hear(socket, JSON.parse(line) as Request));
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(port, host, resolve);
  });
  const cut = (): void => {
    for (const socket of sockets.keys()) socket.destroy();
  };
  const send = (socket: Socket, line: object): void => void socket.write(`${JSON.stringify(line)}\n`);

  return {
    port: (server.address() as { port: number }).port,
    set(unit, name, value, at) {
      if (!units.has(unit)) units.set(unit, new Map());
      units.get(unit)?.set(name, value);
      for (const [socket, subscribed] of sockets)
        if (subscribed.get(unit)?.includes(name))
          send(socket, { unit, ...told(unit, [name]), ...(at !== undefined && { at }) });
    },
    spoil: (unit, name, why) => void spoilt.set(`${unit} ${name}`, why),
    silence() {
      silent = true;
    },
    cut,
    say(line) {
      for (const socket of sockets.keys()) socket.write(`${line}\n`);
    },
    close() {
      cut();
      return new Promise((resolve) => {
        server.close(() => resolve());
      });
    },
  };

  function hear(socket: Socket, request: Request): void {
    const { id, unit } = request;
    if (silent || (unit !== undefined && !units.has(unit) && request.do !== 'identify')) return;
    send(socket, { id, ...answer(socket, request) });
    if (request.do === 'subscribe') send(socket, { unit, ...told(unit, request.names ?? []) });
  }

  function answer(socket: Socket, { do: what, unit, names = [], name = '', value, path = '' }: Request): object {
    if (what === 'read') return told(unit, names);
    if (what === 'identify')
      return { found: units.has(unit) ? { settings: { unit }, identity: { vendor: 'Acme' } } : null };
    if (what === 'browse') return { nodes: path === '' ? folders() : leaves(Number(path)) };
    if (what === 'subscribe') sockets.get(socket)?.set(unit, names);
    if (what === 'unsubscribe') sockets.get(socket)?.delete(unit);
    if (what !== 'write') return {};
    const refused = spoilt.get(`${unit} ${name}`);
    if (refused !== undefined) return { refused };
    units.get(unit)?.set(name, value);
    return {};
  }

  function told(unit: number, names: readonly string[]): object {
    const values: Record<string, unknown> = {};
    const faults: Record<string, string> = {};
    for (const name of names) {
      const fault = spoilt.get(`${unit} ${name}`) ?? (units.get(unit)?.has(name) ? undefined : 'no such name');
      if (fault === undefined) values[name] = units.get(unit)?.get(name);
      else faults[name] = fault;
    }
    return { values, faults };
  }

  function folders(): object[] {
    return [...units.keys()].map((unit) => ({ path: `${unit}`, name: `unit ${unit}`, kind: 'folder' }));
  }

  function leaves(unit: number): object[] {
    const all = [...(units.get(unit) ?? [])];
    return all.map(([name, value]) => ({
      path: `${unit}/${name}`,
      name,
      kind: 'value',
      point: { name, type: 'float64' },
      value,
    }));
  }
}
