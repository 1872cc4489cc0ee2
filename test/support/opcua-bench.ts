/** A press in a process of its own and a folder that trusts it, for all tests of a file. Sessions with it end with their test. */
import { afterAll, afterEach, beforeAll } from 'vitest';
import { opcua } from '../../drivers/opcua/index.js';
import type { DriverContext, Session } from '../../src/driver.js';
import { driverContext } from './driver-context.js';
import { makePem, trustingFolder } from './opcua-identity.js';
import { type Peer, type PemIdentity, type Plant, startPeer } from './opcua-peer.js';

/** What a test file has; filled before its first test. */
export interface OpcuaBench {
  readonly identity: PemIdentity;
  readonly peer: Peer;
  readonly folder: Awaited<ReturnType<typeof trustingFolder>>;
  /** Opens a session that tells news at once; with other keys of the connection, or another server. */
  connect(keys?: object, context?: Partial<DriverContext>): Promise<Session>;
}

/** Starts it before the tests of the file that calls this, and ends it behind them. */
export function opcuaBench(plant: Omit<Plant, 'identity'> = {}): OpcuaBench {
  const open: Session[] = [];
  const bench = {
    async connect(keys: object = {}, context: Partial<DriverContext> = {}): Promise<Session> {
      const { peer, folder } = bench as OpcuaBench;
      const written = { endpoint: peer.endpoint, publishing: '20ms', keep_alive: '200ms', ...keys };
      const connection = opcua.connection.parse(written);
      const session = (await opcua.open(connection as never, driverContext(folder.data, context))) as Session;
      open.push(session);
      return session;
    },
  };
  beforeAll(async () => {
    const identity = await makePem();
    const folder = await trustingFolder(identity);
    Object.assign(bench, { identity, folder, peer: await startPeer({ identity, ...plant }) });
  }, 60_000);
  afterEach(async () => {
    await Promise.all(open.splice(0).map((session) => session.close()));
  });
  afterAll(async () => {
    const { peer, folder } = bench as OpcuaBench;
    await peer.kill();
    folder.done();
  });
  return bench as OpcuaBench;
}
