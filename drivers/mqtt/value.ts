/** From a payload to the raw value of a point. */
import { type Decoded, type Flaw, type Point, type PointType, Structure, type Value } from '../../src/model.js';
import { decodeBytes } from './bytes.js';
import { LongInteger, type Payload, shown, Unfit } from './payload.js';
import { lookUp, type Steps, stepsOf } from './pointer.js';
import type { MqttAddress } from './schema.js';

/** Gives the raw value in a payload, why there is none, or undefined when an optional one is not in it. */
export type Decode = (payload: Payload) => Value | Unfit | undefined;

/** Values as the runtime takes them: nothing, and a flaw, where there is none. */
export function decodedOf(found: readonly (Value | Unfit)[]): Decoded {
  let flaws: Map<number, Flaw> | undefined;
  const values = found.map((value, at): Value => {
    if (!(value instanceof Unfit)) return value;
    flaws ??= new Map();
    flaws.set(at, { quality: 'bad', reason: value.reason });
    return null;
  });
  return { values, ...(flaws && { flaws }) };
}

/** What everybody understands, in small letters. */
const BOOL_WORDS: ReadonlyMap<string, Value> = new Map([
  ['true', true],
  ['false', false],
  ['on', true],
  ['off', false],
  ['yes', true],
  ['no', false],
  ['1', true],
  ['0', false],
]);

const RANGES: Readonly<Partial<Record<PointType, readonly [least: bigint, most: bigint]>>> = {
  int16: [-0x8000n, 0x7fffn],
  uint16: [0n, 0xffffn],
  int32: [-0x8000_0000n, 0x7fff_ffffn],
  uint32: [0n, 0xffff_ffffn],
  int64: [-(2n ** 63n), 2n ** 63n - 1n],
  uint64: [0n, 2n ** 64n - 1n],
};

const NUMBER = /^[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?$/i;
/** Levels of a structure: what encodes it upstream goes down by recursion. */
const DEEPEST = 100;

/** Devices of one profile share its points, and what decodes them. */
const compiled = new WeakMap<Point, Decode>();

/** What decodes a point; the same for the same point. */
export function decoderOf(point: Point<MqttAddress>): Decode {
  let decode = compiled.get(point);
  if (!decode) {
    decode = compile(point);
    compiled.set(point, decode);
  }
  return decode;
}

function compile(point: Point<MqttAddress>): Decode {
  const { type } = point;
  const { pointer, binary, optional } = point.address;
  if (binary)
    return ({ bytes }) => (bytes.length === 0 ? new Unfit('the payload is empty') : decodeBytes(type, binary, bytes));
  const decode = valueDecoder(point);
  if (pointer === undefined)
    return (payload) => (type === 'json' ? fromJson(payload, [], decode) : fromText(payload, decode));
  const steps = stepsOf(pointer);
  const nowhere = new Unfit(`the payload has no ${pointer}`);
  return (payload) => {
    const value = fromJson(payload, steps, decode);
    return value === undefined && !optional ? nowhere : value;
  };
}

/** Takes a value of JSON, or the text of a plain payload. */
export type Decoder = (value: unknown) => Value | Unfit;

function fromText({ text }: Payload, decode: Decoder): Value | Unfit {
  if (text instanceof Unfit) return text;
  return text === '' ? new Unfit('the payload is empty') : decode(text);
}

function fromJson({ json }: Payload, steps: Steps, decode: Decoder): Value | Unfit | undefined {
  if (json instanceof Unfit) return json;
  const value = lookUp(json, steps);
  return value === undefined ? undefined : decode(value);
}

/** Makes ready what judges a value, wherever in a payload it was. */
export function valueDecoder({ type, states, address }: Point<MqttAddress>): Decoder {
  if (type === 'json')
    return (value) => (isDeep(value) ? new Unfit(`more than ${DEEPEST} levels deep`) : Structure.of(value));
  if (type === 'string') return text;
  const words = wordsOf(type, states, address.words);
  const plain = type === 'bool' ? undefined : numberOf(type);
  return (value) => {
    if (value === null) return new Unfit('null');
    if (typeof value === 'boolean') return plain ? (words.get(String(value)) ?? plain(Number(value))) : value;
    if (typeof value === 'string') {
      const said = value.trim();
      const word = words.get(said) ?? words.get(said.toLowerCase());
      if (word !== undefined) return word;
    }
    if (plain) return plain(value);
    return value === 0 || value === 1 ? value === 1 : new Unfit(`${shown(value)} is neither true nor false`);
  };
}

/** Whether a value has too many levels to be written as JSON. */
export function isDeep(value: unknown, left = DEEPEST): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return left === 0 || Object.values(value).some((inner) => isDeep(inner, left - 1));
}

function text(value: unknown): Value | Unfit {
  if (typeof value === 'string') return value;
  if (value instanceof LongInteger) return value.digits;
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  return new Unfit(value === null ? 'null' : `${shown(value)} is no text`);
}

/** Word → raw value: those of the profile as they are written, names of states and what everybody understands in small letters. */
function wordsOf(
  type: PointType,
  states: ReadonlyMap<number, string> | undefined,
  written: MqttAddress['words'],
): ReadonlyMap<string, Value> {
  const words = new Map<string, Value>(type === 'bool' && !written ? BOOL_WORDS : []);
  for (const [raw, name] of states ?? []) words.set(name.toLowerCase(), rawOf(type, raw));
  for (const [word, raw] of Object.entries(written ?? {})) words.set(word, rawOf(type, Number(raw)));
  return words;
}

function rawOf(type: PointType, raw: number): Value {
  if (type === 'bool') return raw !== 0;
  return type === 'int64' || type === 'uint64' ? BigInt(raw) : raw;
}

function numberOf(type: PointType): Decoder {
  const range = RANGES[type];
  return (value) => {
    const written = value instanceof LongInteger ? value.digits : typeof value === 'string' ? value.trim() : value;
    const isNumber = typeof written === 'number' || (typeof written === 'string' && NUMBER.test(written));
    const number = isNumber ? Number(written) : Number.NaN;
    if (!Number.isFinite(number)) return new Unfit(`${shown(value)} is no number`);
    if (range) return whole(type, range, written as number | string, number);
    const fits = type !== 'float32' || Number.isFinite(Math.fround(number));
    return fits ? number : new Unfit(`${shown(value)} does not fit ${type}`);
  };
}

function whole(
  type: PointType,
  [least, most]: readonly [bigint, bigint],
  written: number | string,
  number: number,
): Value | Unfit {
  if (!Number.isInteger(number)) return new Unfit(`${shown(written)} is no whole number`);
  const exact =
    typeof written === 'string' && /^[+-]?\d+$/.test(written) ? BigInt(written.replace(/^\+/, '')) : BigInt(number);
  if (exact < least || exact > most) return new Unfit(`${shown(written)} does not fit ${type}`);
  return type.endsWith('64') ? exact : number;
}
