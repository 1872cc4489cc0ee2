/** The built-in types of OPC UA by name, with their numbers on the wire (OPC UA Part 6 §5.1.2, table 1). */
export const BUILT_IN: ReadonlyMap<string, number> = new Map(
  [
    'Boolean',
    'SByte',
    'Byte',
    'Int16',
    'UInt16',
    'Int32',
    'UInt32',
    'Int64',
    'UInt64',
    'Float',
    'Double',
    'String',
    'DateTime',
    'Guid',
    'ByteString',
    'XmlElement',
    'NodeId',
    'ExpandedNodeId',
    'StatusCode',
    'QualifiedName',
    'LocalizedText',
    'ExtensionObject',
    'DataValue',
    'Variant',
    'DiagnosticInfo',
  ].map((name, index) => [name, index + 1]),
);

const NAMES = [...BUILT_IN.keys()];

/** Name of a built-in type; `Null` for no value at all. */
export function builtInName(number: number): string {
  return number === 0 ? 'Null' : (NAMES[number - 1] ?? `type ${number}`);
}

/** Least and most of the whole-number types. */
export const WHOLE: Readonly<Record<string, readonly [least: bigint, most: bigint]>> = {
  SByte: [-128n, 127n],
  Byte: [0n, 255n],
  Int16: [-32_768n, 32_767n],
  UInt16: [0n, 65_535n],
  Int32: [-(2n ** 31n), 2n ** 31n - 1n],
  UInt32: [0n, 2n ** 32n - 1n],
  Int64: [-(2n ** 63n), 2n ** 63n - 1n],
  UInt64: [0n, 2n ** 64n - 1n],
};
