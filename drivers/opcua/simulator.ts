/** Serves devices over OPC UA with plausible values: their nodes under their own ids, or where their paths lead. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { StatusCode } from 'node-opcua-client';
import type { OPCUAServer } from 'node-opcua-server';
import type { Simulator, SimulatorOptions } from '../../src/driver.js';
import { messageOf, TidegateError } from '../../src/errors.js';
import type { Device, Point } from '../../src/model.js';
import { parseBrowsePath, parseNodeId, type WrittenName } from './address.js';
import { makeFaulty } from './faults.js';
import { loadLibrary } from './library.js';
import { makeIdentity } from './own.js';
import type { OpcuaAddress, OpcuaDevice } from './schema.js';
import { prepareServer } from './server.js';

type SimulatedDevice = Device<OpcuaDevice, OpcuaAddress>;
type Space = NonNullable<OPCUAServer['engine']['addressSpace']>;
type Parent = ReturnType<ReturnType<Space['getOwnNamespace']>['addFolder']>;

/** Milliseconds between two values. */
const REFRESH = 250;

const TYPES: Readonly<Record<Point['type'], string>> = {
  bool: 'Boolean',
  int16: 'Int16',
  int32: 'Int32',
  int64: 'Int64',
  uint16: 'UInt16',
  uint32: 'UInt32',
  uint64: 'UInt64',
  float32: 'Float',
  float64: 'Double',
  string: 'String',
  json: 'Double',
};

/**
 * Serves all devices on one server, with every security policy and without. What is of the standard itself the server has anyway.
 * @throws TidegateError USAGE when the server's package is not installed, LINK_DOWN when the port is taken
 */
export async function simulate(
  devices: readonly SimulatedDevice[],
  { host, port, faults }: SimulatorOptions,
): Promise<Simulator> {
  const folder = await mkdtemp(join(tmpdir(), 'tidegate-simulator-'));
  const server = await prepareServer({ host, port, folder, identity: await makeIdentity('simulator', [host]) });
  const space = server.engine.addressSpace as Space;
  const { StatusCodes } = await loadLibrary();
  if (faults) makeFaulty(server, faults);
  const statusNow = (): StatusCode =>
    faults?.().kind === 'exception' ? StatusCodes.BadDeviceFailure : StatusCodes.Good;
  const moving = devices.flatMap((device) => addDevice(space, device));
  const move = (): void => {
    const seconds = performance.now() / 1_000;
    for (const one of moving) one(seconds, statusNow());
  };
  move();
  try {
    await server.start();
  } catch (cause) {
    throw new TidegateError('LINK_DOWN', `cannot listen on ${host}:${port}: ${messageOf(cause)}`, {
      cause,
      hint: 'Choose another address or port.',
    });
  }
  const timer = setInterval(move, REFRESH).unref();
  return {
    host,
    port: server.endpoints[0]?.port ?? port,
    close: async () => {
      clearInterval(timer);
      await server.shutdown(0);
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Sets a value to what it is after so many seconds, with a status. */
type Move = (seconds: number, status: StatusCode) => void;

/** Adds the points of a device; gives what moves them. */
function addDevice(space: Space, device: SimulatedDevice): Move[] {
  const { root } = device.settings;
  const base = folderAt(space, root?.startsWith('/') ? namesOf(root) : [{ namespace: 0, name: 'Objects' }]);
  const home = root && !root.startsWith('/') ? addNode(space, base, device.id, root) : base;
  return device.points.flatMap((point) => {
    const { node, path = '' } = point.address;
    const names = node === undefined ? namesOf(path) : [];
    const last = names.at(-1);
    const id = node === undefined ? undefined : parseNodeId(node);
    const namespace = typeof id === 'object' ? id.namespace : (last?.namespace ?? 0);
    if (namespace === 0 || typeof id === 'string') return [];
    const parent =
      node !== undefined ? home : folderAt(space, names.slice(0, -1), path.startsWith('/') ? undefined : home);
    return [addPoint(space, parent, point, device.id, { namespace, name: last?.name ?? point.id })];
  });
}

function addPoint(
  space: Space,
  parent: Parent,
  point: Point<OpcuaAddress>,
  seed: string,
  { namespace, name }: WrittenName,
): Move {
  const dataType = TYPES[point.type];
  const own = spaceOf(space, namespace);
  const written = point.address.node && parseNodeId(point.address.node);
  const wave = waveOf(point, seed);
  let held = false;
  const variable = own.addVariable({
    // The standard's own folder has no components (OPC UA Part 5 §8.2.4).
    [parent === space.rootFolder.objects ? 'organizedBy' : 'componentOf']: parent,
    browseName: name,
    dataType,
    ...(typeof written === 'object' && { nodeId: `ns=${own.index};${written.kind}=${written.value}` }),
    accessLevel: point.access === 'read' ? 'CurrentRead' : 'CurrentRead | CurrentWrite',
    userAccessLevel: point.access === 'read' ? 'CurrentRead' : 'CurrentRead | CurrentWrite',
    minimumSamplingInterval: REFRESH,
  });
  variable.on('value_changed', () => {
    held ||= !setting;
  });
  let setting = false;
  return (seconds, status) => {
    const { value, statusCode } = variable.readValue();
    if (held && status === statusCode) return;
    setting = true;
    variable.setValueFromSource(held ? value : { dataType, value: wireValue(point, wave(seconds)) }, status);
    setting = false;
  };
}

/** The folder at the end of these names, from the root or from a parent; made where it is not there. */
function folderAt(space: Space, names: readonly WrittenName[], from?: Parent): Parent {
  let at = (from ?? space.rootFolder) as Parent;
  for (const { namespace, name } of names) {
    const own = spaceOf(space, namespace);
    at = (at.getFolderElementByName(name, own.index) ??
      at.getComponentByName(name, own.index) ??
      own.addFolder(at, { browseName: name })) as Parent;
  }
  return at;
}

function addNode(space: Space, parent: Parent, name: string, id: string): Parent {
  const written = parseNodeId(id);
  if (typeof written === 'string') return parent;
  const own = spaceOf(space, written.namespace);
  return own.addFolder(parent, { browseName: name, nodeId: `ns=${own.index};${written.kind}=${written.value}` });
}

/** The namespace of a URI, or as good a one as there is of a number. */
function spaceOf(space: Space, namespace: string | number): ReturnType<Space['getOwnNamespace']> {
  if (typeof namespace === 'string') return space.registerNamespace(namespace);
  while (space.getNamespaceArray().length <= namespace)
    space.registerNamespace(`urn:tidegate:simulator:${space.getNamespaceArray().length}`);
  return space.getNamespace(namespace) as ReturnType<Space['getOwnNamespace']>;
}

function namesOf(path: string): readonly WrittenName[] {
  const parsed = parseBrowsePath(path);
  return typeof parsed === 'string' ? [] : parsed.names;
}

/** Seconds → raw value: a slow wave within the point's limits; states one after the other; a counter that counts. */
function waveOf(point: Point, seed: string): (seconds: number) => number {
  const phase = [...`${seed} ${point.id}`].reduce((sum, letter) => (sum * 31 + letter.charCodeAt(0)) % 997, 7);
  if (point.states) {
    const raws = [...point.states.keys()];
    return (seconds) => raws[Math.floor((seconds + phase) / 10) % raws.length] ?? 0;
  }
  if (point.kind === 'counter') return (seconds) => Math.floor(phase + seconds);
  const { min = 0, max = 100 } = point.limits ?? {};
  const [middle, swing] = [(min + max) / 2, (max - min) / 4];
  const period = 20 + (phase % 40);
  return (seconds) =>
    (middle + swing * Math.sin((2 * Math.PI * (seconds + phase)) / period) - point.offset) / point.scale;
}

function wireValue({ type }: Point, wave: number): unknown {
  switch (type) {
    case 'bool':
      return Math.floor(wave) % 2 === 0;
    case 'string':
      return wave.toFixed(1);
    case 'float32':
    case 'float64':
    case 'json':
      return wave;
    case 'int64':
    case 'uint64': {
      const bits = BigInt.asUintN(64, BigInt(Math.round(wave)));
      return [Number(bits >> 32n), Number(bits & 0xffff_ffffn)];
    }
    default:
      return Math.round(type.startsWith('u') ? Math.max(0, wave) : wave);
  }
}
