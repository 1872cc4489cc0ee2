/** Devices behind a server that tells of them: by OPC UA for Devices (OPC 10000-100 §5.9) and OPC UA for Machinery (OPC 40001-1 §9). */
import { NodeClass, type NodeId, type ReferenceDescription } from 'node-opcua-client';
import type { FoundDevice } from '../../src/driver.js';
import { isKind, messageOf } from '../../src/errors.js';
import { childrenOf } from './browser.js';
import type { Nodes } from './nodes.js';
import { decode, type Variant } from './values.js';
import type { Wire } from './wire.js';

/** Folders that hold one object for each device. */
const FOLDERS = [
  '/Objects/nsu=http://opcfoundation.org/UA/DI/;DeviceSet',
  '/Objects/nsu=http://opcfoundation.org/UA/Machinery/;Machines',
];
/** Where a machine has its nameplate; a device has it at itself. */
const NAMEPLATE = 'Identification';
/** What of a nameplate says who it is. */
const SAYS: Readonly<Record<string, string>> = {
  Manufacturer: 'vendor',
  Model: 'model',
  ProductCode: 'product',
  SoftwareRevision: 'firmware',
  SerialNumber: 'serial_number',
};
/** Milliseconds after which is looked again. */
const AGAIN = 600_000;

/** Tells of the devices that are there, and of changes as they are found; see `Session.discover`. */
export async function discover(
  wire: Wire,
  nodes: Nodes,
  found: (device: FoundDevice) => void,
): Promise<{ close(): Promise<void> }> {
  const told = new Map<string, string>();
  let ended = false;
  const look = async (): Promise<void> => {
    for (const folder of FOLDERS)
      for (const device of await devicesIn(wire, nodes, folder)) {
        const root = String(device.settings.root);
        const text = JSON.stringify(device);
        if (ended || told.get(root) === text) continue;
        told.set(root, text);
        found(device);
      }
  };
  await look();
  const timer = setInterval(() => {
    look().catch((error: unknown) => wire.log.debug(`cannot look for devices: ${messageOf(error)}`));
  }, AGAIN).unref();
  const close = async (): Promise<void> => {
    ended = true;
    clearInterval(timer);
  };
  wire.onBroken(() => void close());
  return { close };
}

async function devicesIn(wire: Wire, nodes: Nodes, folder: string): Promise<FoundDevice[]> {
  const place = await nodes.named(folder);
  if (typeof place === 'string') return [];
  const devices: FoundDevice[] = [];
  for (const { nodeId, browseName, nodeClass } of await below(wire, place)) {
    if (nodeClass !== NodeClass.Object || browseName.namespaceIndex === 0) continue;
    const identity = await nameplateOf(wire, nodeId as NodeId);
    devices.push({ settings: { root: nodes.written(nodeId as NodeId) }, identity, name: browseName.name ?? '' });
  }
  return devices;
}

async function nameplateOf(wire: Wire, device: NodeId): Promise<Record<string, string>> {
  const named = (name: string) => (one: ReferenceDescription) => one.browseName.name === name;
  const children = await below(wire, device);
  const plate = children.find(named(NAMEPLATE));
  if (plate) children.push(...(await below(wire, plate.nodeId as NodeId)));
  const says = Object.entries(SAYS).flatMap(([name, key]) => {
    const one = children.find(named(name));
    return one ? [{ key, nodeId: one.nodeId as NodeId }] : [];
  });
  const values = await wire.read(says.map(({ nodeId }) => ({ nodeId })));
  const texts = says.map(({ key }, index) => {
    const variant = values[index]?.value as unknown as Variant | undefined;
    return [key, variant && decode('string', variant)] as const;
  });
  return Object.fromEntries(
    texts.filter((one): one is [string, string] => typeof one[1] === 'string' && one[1] !== ''),
  );
}

/** What is below a node; nothing where the server does not say. */
async function below(wire: Wire, node: NodeId): Promise<ReferenceDescription[]> {
  return childrenOf(wire, node).catch((error: unknown) => {
    if (isKind(error, 'reconnect')) throw error;
    return [];
  });
}
