/** What the tests' OPC UA server has: a press with one variable of each kind that matters. */
import type { OPCUAServer } from 'node-opcua-server';
import { loadLibrary } from '../../drivers/opcua/library.js';
import { type Plant, PRESS } from './opcua-peer.js';
import { TYPES } from './opcua-types.js';

const DI = 'http://opcfoundation.org/UA/DI/';

type Space = NonNullable<OPCUAServer['engine']['addressSpace']>;
type Variable = ReturnType<ReturnType<Space['getOwnNamespace']>['addVariable']>;

/** Variables by the text of their node id. */
export type Variables = Map<string, Variable>;

/** Whether a variable can be written, or only be written. */
type Access = 'write' | 'write-only';

const LEVELS: Readonly<Record<Access, string>> = { write: 'CurrentRead | CurrentWrite', 'write-only': 'CurrentWrite' };

/** Variable → its type, its value, and how it is accessed; a type in brackets is an array. */
const HOLDS: readonly [name: string, type: string, value: unknown, access?: Access][] = [
  ['Temp', 'Double', 21.5],
  ['Speed', 'Float', 230.15],
  ['Pieces', 'UInt32', 4_000_000_000],
  ['Total', 'UInt64', [0x7fff_ffff, 0xffff_ffff]],
  ['Balance', 'Int64', [0xffff_ffff, 0xffff_fffe], 'write'],
  ['Running', 'Boolean', true, 'write'],
  ['Name', 'String', 'Press 7', 'write'],
  ['Mode', 'Int32', 2, 'write'],
  ['Setpoint', 'Int16', -5, 'write'],
  ['Small', 'Byte', 7, 'write'],
  ['Gain', 'Float', 1.5, 'write'],
  ['Levels', '[Double]', [1.5, 2.5, 3.5], 'write'],
  ['Started', 'DateTime', new Date(Date.UTC(2026, 0, 2, 3, 4, 5)), 'write'],
  // As the greatest number of 100 nanoseconds is told, which means no time in particular.
  ['Forever', 'DateTime', new Date(910_692_730_085_477)],
  ['Reset', 'Boolean', false, 'write-only'],
  ['Recipe', '[Int16]', [1, 2], 'write-only'],
  ['Blob', 'ByteString', Buffer.from('hello')],
  ['Title', 'LocalizedText', { text: 'Presse', locale: 'de' }],
  ['Locked', 'Double', 1],
  ['Spoilt', 'Double', 5],
  ['Gone.A', 'Double', 1],
  ['Gone.B', 'Double', 1],
];

/** Node ids that are no text, by what they are. */
export const ODD_IDS = {
  number: 'i=9001',
  guid: 'g=72962B91-FA75-4AE6-8D28-B404DC7DAF63',
  bytes: 'b=M/RbKBsRVkePCePcx24oRA==',
} as const;

/** Fills the server. */
export async function fillPress(server: OPCUAServer, { before = [], many = 0 }: Plant): Promise<Variables> {
  const { DataType, makeNodeId, StatusCodes, Variant, VariantArrayType } = await loadLibrary();
  const space = server.engine.addressSpace as Space;
  for (const uri of before) space.registerNamespace(uri);
  const own = space.registerNamespace(PRESS);
  const press = own.addFolder(space.rootFolder.objects, { browseName: 'Press', nodeId: 's=Press' });
  const variables = new Map<string, Variable>();
  const add = (name: string, written: string, held: unknown, access?: Access): Variable => {
    const array = written.startsWith('[');
    const type = array ? written.slice(1, -1) : written;
    const variable = own.addVariable({
      componentOf: press,
      browseName: name,
      nodeId: `s=${name}`,
      dataType: type,
      ...(array && { valueRank: 1 }),
      accessLevel: access ? LEVELS[access] : 'CurrentRead',
      userAccessLevel: access ? LEVELS[access] : 'CurrentRead',
      minimumSamplingInterval: 0,
    });
    const dataType = DataType[type as 'Double'];
    const arrayType = array ? VariantArrayType.Array : VariantArrayType.Scalar;
    variable.setValueFromSource(new Variant({ dataType, arrayType, value: held }));
    variables.set(name, variable);
    return variable;
  };
  for (const [name, type, value, access] of HOLDS) add(name, type, value, access);
  const types = space.getNamespaceIndex(TYPES);
  const axisType = space.findDataType('Axis', types) as never;
  const driveType = space.findDataType('Drive', types) as never;
  const toolType = space.findDataType('Tool', types) as never;
  const choiceType = space.findDataType('Choice', types) as never;
  const secretType = space.findDataType('Secret', types) as never;
  const axis = { position: 1.25, name: 'X', trace: [1, -2, 3], phase: 2, travel: { low: -10, high: 10 } };
  const typed: readonly [string, dataType: unknown, unknown][] = [
    ['Axis', axisType, space.constructExtensionObject(axisType, axis)],
    ['Drive', driveType, space.constructExtensionObject(driveType, { ...axis, load: 0.25 })],
    ['Tool', toolType, space.constructExtensionObject(toolType, { name: 'Drill' })],
    ['Choice', choiceType, space.constructExtensionObject(choiceType, { count: 5 })],
    ['Opaque', secretType, space.constructExtensionObject(secretType, { Code: 1 })],
    ['Phase', space.findDataType('Phase', types), 1],
  ];
  for (const [name, dataType, value] of typed) {
    const variable = own.addVariable({
      componentOf: press,
      browseName: name,
      nodeId: `s=${name}`,
      dataType: dataType as never,
      accessLevel: 'CurrentRead | CurrentWrite',
      userAccessLevel: 'CurrentRead | CurrentWrite',
      minimumSamplingInterval: 0,
    });
    variable.setValueFromSource({ dataType: name === 'Phase' ? 'Int32' : 'ExtensionObject', value } as never);
    variables.set(name, variable);
  }
  const tools = ['Drill', 'Mill'].map((name) => space.constructExtensionObject(toolType, { name, wear: 0.5 }));
  const rack = own.addVariable({
    componentOf: press,
    browseName: 'Tools',
    nodeId: 's=Tools',
    dataType: toolType,
    valueRank: 1,
    accessLevel: 'CurrentRead | CurrentWrite',
    userAccessLevel: 'CurrentRead | CurrentWrite',
    minimumSamplingInterval: 0,
  });
  rack.setValueFromSource({ dataType: 'ExtensionObject', arrayType: VariantArrayType.Array, value: tools } as never);
  variables.set('Tools', rack);
  // What it is made of, nobody can ask any more.
  space.deleteNode(makeNodeId(5003, types));
  for (const [kind, id] of Object.entries(ODD_IDS)) {
    const variable = own.addVariable({ componentOf: press, browseName: kind, nodeId: id, dataType: 'String' });
    variable.setValueFromSource({ dataType: 'String', value: kind });
  }
  for (let index = 0; index < many; index++) add(`Many.${index}`, 'Double', index);
  for (const name of ['Gone.A', 'Gone.B'])
    variables.get(name)?.setValueFromSource({ dataType: 'Null' }, StatusCodes.BadNoCommunication);
  const devices = space.registerNamespace(DI);
  const set = devices.addFolder(space.rootFolder.objects, { browseName: 'DeviceSet' });
  const pump = own.addObject({ componentOf: set, browseName: 'Pump', nodeId: 's=Pump' });
  for (const [name, dataType, value] of [
    ['Manufacturer', 'LocalizedText', { text: 'Acme', locale: 'en' }],
    ['Model', 'LocalizedText', { text: 'P-7', locale: 'en' }],
    ['SerialNumber', 'String', '4711'],
    ['SoftwareRevision', 'String', ''],
  ] as const) {
    const property = devices.addVariable({ propertyOf: pump, browseName: name, nodeId: `s=Pump.${name}`, dataType });
    property.setValueFromSource({ dataType, value });
    variables.set(`Pump.${name}`, property as Variable);
  }
  const range = own.addAnalogDataItem({
    componentOf: press,
    browseName: 'Flow',
    nodeId: 's=Flow',
    dataType: 'Double',
    engineeringUnitsRange: { low: 0, high: 200 },
    minimumSamplingInterval: 0,
  } as never);
  variables.set('Flow', range as Variable);
  range.setValueFromSource({ dataType: 'Double', value: 100 });
  return variables;
}

/** Brings back a variable of the press that was taken away, under another node id where one is named. */
export function restore(
  server: OPCUAServer,
  variables: Variables,
  { node, as = node, value }: { readonly node: string; readonly as?: string; readonly value: number },
): void {
  const space = server.engine.addressSpace as Space;
  const own = space.getNamespace(space.getNamespaceIndex(PRESS)) as ReturnType<Space['getOwnNamespace']>;
  const press = own.findNode('s=Press') as never;
  const where = { componentOf: press, browseName: node, nodeId: `s=${as}`, minimumSamplingInterval: 0 };
  const variable = own.addVariable({ ...where, dataType: 'Double' }) as Variable;
  variable.setValueFromSource({ dataType: 'Double', value });
  variables.set(node, variable);
}
