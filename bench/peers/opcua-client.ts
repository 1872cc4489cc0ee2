/** The OPC UA driver in a process of its own: one session, one subscription, values counted as they are told. */
import { pino } from 'pino';
import { opcua } from '../../drivers/opcua/index.js';
import { addressSchema, type OpcuaAddress } from '../../drivers/opcua/schema.js';
import type { Point } from '../../src/model.js';
import { answer } from '../peer.js';
import { type ClientLoad, nodeOf } from './opcua-nodes.js';

let count = 0;

answer({
  async open({ port, items, every, folder, certificate }: ClientLoad): Promise<void> {
    await opcua.trust?.(folder).add(Buffer.from(certificate));
    const log = pino({ level: 'silent' });
    const context = { log, data: folder, connection: 'press', gateway: 'bench' };
    const settings = opcua.connection.parse({ endpoint: `opc.tcp://127.0.0.1:${port}`, publishing: `${every}ms` });
    const session = await opcua.open(settings, context);
    const points = Array.from({ length: items }, (_, index) => pointOf(index, every));
    const device = { id: 'press', profile: 'bench/press', connection: 'press', tags: {}, settings: {}, points };
    await session.subscribe?.(device, points, {
      push: ({ values }) => {
        count += values.length;
      },
      silent: fail,
      broke: fail,
    });
  },
  count: () => count,
});

function pointOf(index: number, every: number): Point<OpcuaAddress> {
  const address = addressSchema.parse({ node: nodeOf(index) });
  const shape = { type: 'float64', kind: 'gauge', access: 'read', scale: 1, offset: 0 } as const;
  return { id: `${index}`, every, address, ...shape };
}

function fail(why: unknown): never {
  throw why instanceof Error ? why : new Error(String(why));
}
