/** An OPC UA server of node-opcua in a process of its own, whose variables all change at once. */
import { mkdirSync } from 'node:fs';
import { loadLibrary } from '../../drivers/opcua/library.js';
import { prepareServer } from '../../drivers/opcua/server.js';
import { answer } from '../peer.js';
import { NAMESPACE, type ServerLoad } from './opcua-nodes.js';

await loadLibrary();
const { makeIdentity } = await import('../../drivers/opcua/own.js');

answer({
  async listen({ items, every, folder }: ServerLoad): Promise<{ port: number; certificate: string }> {
    mkdirSync(folder, { recursive: true });
    const identity = await makeIdentity('bench', ['127.0.0.1']);
    const options = { serverCapabilities: { minSupportedSampleRate: 0 } };
    const server = await prepareServer({ host: '127.0.0.1', port: 0, identity, folder, options });
    const space = server.engine.addressSpace;
    if (!space) throw new TypeError('a server that is prepared has an address space');
    const own = space.registerNamespace(NAMESPACE);
    const parent = own.addFolder(space.rootFolder.objects, { browseName: 'Bench' });
    const variables = Array.from({ length: items }, (_, index) =>
      own.addVariable({
        componentOf: parent,
        browseName: `${index}`,
        nodeId: `s=${index}`,
        dataType: 'Double',
        minimumSamplingInterval: 0,
      }),
    );
    let round = 0;
    const change = (): void => {
      round += 1;
      for (const [index, variable] of variables.entries())
        variable.setValueFromSource({ dataType: 'Double', value: round + index / items });
    };
    change();
    await server.start();
    setInterval(change, every);
    return { port: server.endpoints[0]?.port ?? 0, certificate: identity.certificate.toString() };
  },
});
