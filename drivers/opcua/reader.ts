/** Reads points: few requests, one result for each point, whatever the server says of the others. */
import {
  AttributeIds,
  type DataValue,
  promoteOpaqueStructure,
  ReadValueId,
  TimestampsToReturn,
} from 'node-opcua-client';
import type { ReadOptions } from '../../src/driver.js';
import { messageOf, TidegateError } from '../../src/errors.js';
import type { Device, Flaw, Point, Samples, Value } from '../../src/model.js';
import { BUILT_IN, builtInName } from './built-in.js';
import type { Nodes, Place } from './nodes.js';
import type { OpcuaAddress, OpcuaDevice } from './schema.js';
import { flawOf, isBad, isGone, isSilence, type Status } from './status.js';
import { decode, Unfit, unlikeRange, type Variant } from './values.js';
import { Fault, type Wire } from './wire.js';

/** The library's class of ranges, which it keeps to itself. */
type Range = ReadValueId['indexRange'];
const RangeClass = new ReadValueId({}).indexRange.constructor as new (text: string) => Range;

/** What is asked of the server for one point. */
export interface Asked {
  readonly nodeId: Exclude<Place, string>;
  readonly attributeId: AttributeIds;
  readonly indexRange?: Range;
}

/** The read value id of a point at its node (OPC UA Part 4 §7.29). */
export function askFor(nodeId: Exclude<Place, string>, { address }: Point<OpcuaAddress>): Asked {
  const { range } = address;
  return { nodeId, attributeId: AttributeIds.Value, ...(range !== undefined && { indexRange: new RangeClass(range) }) };
}

/** What the server tells of a value: the library's `DataValue`, or a `Change`. */
interface Held {
  readonly statusCode: Status;
  readonly value?: object | null | undefined;
}

/** A point's value and why it is not good, from what the server tells of it. */
export function judge(
  point: Point<OpcuaAddress>,
  { statusCode, value }: Held,
): { value: Value; flaw?: Flaw | undefined } {
  const flaw = flawOf(statusCode);
  if (isBad(statusCode)) return { value: null, flaw };
  const variant = (value ?? NOTHING) as Variant;
  const { range } = point.address;
  const decoded = (range !== undefined && unlikeRange(range, variant)) || decode(point.type, variant);
  return decoded instanceof Unfit
    ? { value: null, flaw: { quality: 'bad', reason: decoded.reason } }
    : { value: decoded, flaw };
}

/** Time of the source, milliseconds since 1970; undefined where the server tells none, or that its clock was not set. */
export function timeOf({ sourceTimestamp }: DataValue): number | undefined {
  const time = sourceTimestamp?.getTime() ?? 0;
  return time > 0 ? time : undefined;
}

const STRUCTURE = BUILT_IN.get('ExtensionObject');
const NOTHING: Variant = { dataType: 0, arrayType: 0, value: null };

/**
 * Reads points of one device.
 * @throws TidegateError LINK_DOWN when the session has ended
 */
export async function readPoints(
  wire: Wire,
  nodes: Nodes,
  device: Device<OpcuaDevice, OpcuaAddress>,
  points: readonly Point<OpcuaAddress>[],
  options: Pick<ReadOptions, 'raw'>,
): Promise<Samples> {
  const values: Value[] = points.map(() => null);
  const flaws = new Map<number, Flaw>();
  const raw = new Map<number, string>();
  const bad = (index: number, reason: string): void => {
    flaws.set(index, { quality: 'bad', reason });
  };
  let answered = points.length === 0;
  let latest = 0;
  try {
    const places = await nodes.find(device, points);
    const asked: { readonly index: number; readonly ask: Asked }[] = [];
    places.forEach((place, index) => {
      if (typeof place === 'string') bad(index, place);
      else asked.push({ index, ask: askFor(place, points[index] as Point<OpcuaAddress>) });
    });
    const results = await readAsked(
      wire,
      asked.map(({ ask }) => ask),
    );
    answered ||= asked.length === 0;
    asked.forEach(({ index }, at) => {
      const result = results[at];
      if (result === undefined) {
        bad(index, 'the server left it out of its answer');
        return;
      }
      const point = points[index] as Point<OpcuaAddress>;
      answered ||= !isSilence(result.statusCode);
      if (isGone(result.statusCode)) nodes.forget(device, point);
      const { value, flaw } = judge(point, result);
      values[index] = value;
      if (value !== null) latest = Math.max(latest, timeOf(result) ?? 0);
      if (flaw) flaws.set(index, flaw);
      if (options.raw) raw.set(index, rawText(result));
    });
  } catch (error) {
    const silent = error instanceof TidegateError && error.kind === 'retry';
    if (!silent && !(error instanceof Fault)) throw error;
    answered = !silent;
    latest = 0;
    points.forEach((_, index) => {
      values[index] = null;
      bad(index, silent ? `timeout: ${messageOf(error)}` : messageOf(error));
    });
  }
  return {
    values,
    answered,
    ...(latest > 0 && { at: latest }),
    ...(flaws.size > 0 && { flaws }),
    ...(options.raw && { raw }),
  };
}

/**
 * What the server holds at some places, with the times of its source; undefined where it left one out.
 * @throws Fault; TidegateError DEVICE_UNAVAILABLE or LINK_DOWN
 */
export async function readAsked(wire: Wire, asked: readonly Asked[]): Promise<(DataValue | undefined)[]> {
  const values = await wire.read(asked, { times: TimestampsToReturn.Source });
  await openStructures(wire, values);
  return values;
}

/**
 * Gives structures of the server's own types their fields: by the types' definitions, which are read when first met, or by the
 * dictionaries that servers had before OPC UA 1.04. What cannot be opened stays as it is, and is one bad point each.
 */
export async function openStructures(wire: Wire, values: readonly (Pick<Held, 'value'> | undefined)[]): Promise<void> {
  const closed = values.filter((one) => (one?.value as Variant | undefined)?.dataType === STRUCTURE);
  if (closed.length === 0) return;
  try {
    await promoteOpaqueStructure(wire.session, closed as DataValue[]);
  } catch (error) {
    wire.log.debug(`the fields of a structure cannot be read: ${messageOf(error)}`);
  }
}

/** `Double 21.5`, as it was before anything was made of it. */
function rawText({ value, statusCode }: DataValue): string {
  if (isBad(statusCode) || !value) return statusCode.name;
  const variant = value as unknown as Variant;
  const type = `${builtInName(variant.dataType)}${variant.arrayType === 0 ? '' : '[]'}`;
  return `${type} ${String(decode('json', variant) instanceof Unfit ? '' : decode('json', variant))}`.trim();
}
