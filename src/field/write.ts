/** One write to one point: checked against its profile, unscaled, sent in the wire's next turn, read back. */
import type { Session } from '../driver.js';
import { isKind, messageOf, TidegateError } from '../errors.js';
import { type Device, type Point, Structure, type Value } from '../model.js';
import { faultOfFactor } from '../scaling.js';
import { unscale } from '../unscaling.js';
import { type PointReading, readPoints } from './read.js';
import type { RunTurn, Turn } from './turn.js';

/** `refused`: certainly not written. `unknown`: it was sent, and nobody said whether it was taken. */
export interface WriteResult {
  readonly outcome: 'written' | 'refused' | 'unknown';
  /** Why it is not `written`. */
  readonly reason?: string;
  /** What was sent. */
  readonly raw?: Value;
  /** What the point says afterwards; absent when it was not written, or cannot be read. */
  readonly readBack?: PointReading;
}

/** Writes a value (not the raw one). Sends nothing unless the point may have that value. Never rejects. */
export async function writePoint(
  run: RunTurn,
  device: Device,
  point: Point,
  value: Value,
  signal?: AbortSignal,
): Promise<WriteResult> {
  let raw: Value | undefined;
  try {
    if (point.access === 'read')
      throw new TidegateError('WRITE_REFUSED', `${point.id} cannot be written: its access is read`);
    return await run(async (turn) => {
      const encoded = unscale(point, value, await exponentOf(turn, device, point));
      const write = writerOf(turn.session, point);
      raw = encoded;
      await write(device, point, encoded, turn.signal);
      return { outcome: 'written', raw, ...(await readBack(turn, device, point)) };
    }, signal);
  } catch (error) {
    const sent = raw !== undefined;
    const outcome = sent && !isKind(error, 'reject') ? 'unknown' : 'refused';
    return { outcome, reason: messageOf(error), ...(sent && { raw }) };
  }
}

/** Writes a value that is given as text, as `parseValue` reads it. */
export async function writeText(
  run: RunTurn,
  device: Device,
  point: Point,
  text: string,
  signal?: AbortSignal,
): Promise<WriteResult> {
  try {
    return await writePoint(run, device, point, parseValue(point, text), signal);
  } catch (error) {
    return { outcome: 'refused', reason: messageOf(error) };
  }
}

/**
 * A value from its text, as the point's type has it: a state's name, `true`, `21.5`, text, JSON.
 * @throws TidegateError WRITE_REFUSED
 */
function parseValue({ id, type, states }: Point, text: string): Value {
  const refused = (what: string) => new TidegateError('WRITE_REFUSED', `${id} cannot be written: "${text}" is ${what}`);
  if (states && [...states.values()].includes(text)) return text;
  if (type === 'string') return text;
  if (type === 'json') {
    try {
      JSON.parse(text);
      return new Structure(text);
    } catch {
      throw refused('no JSON');
    }
  }
  if (type === 'bool' && /^(true|false)$/.test(text)) return text === 'true';
  if (/^[+-]?\d+$/.test(text)) {
    const whole = Number(text);
    return Number.isSafeInteger(whole) ? whole : BigInt(text);
  }
  if (/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text)) return Number(text);
  if (states) return text;
  throw refused(type === 'bool' ? 'neither true nor false' : 'not a number');
}

function writerOf(session: Session, { id }: Point): NonNullable<Session['write']> {
  if (session.write) return session.write.bind(session);
  throw new TidegateError('WRITE_REFUSED', `${id} cannot be written: its driver only reads`);
}

async function exponentOf({ session, signal }: Turn, device: Device, point: Point): Promise<number> {
  const factor = device.points.find(({ id }) => id === point.scaleFrom);
  if (!factor) return 0;
  const { values, flaws } = await session.read(device, [factor], { signal });
  const fault = flaws?.get(0)?.reason ?? faultOfFactor(values[0]);
  if (fault === undefined) return values[0] as number;
  throw new TidegateError('WRITE_REFUSED', `${point.id} cannot be written: scale factor ${factor.id}: ${fault}`);
}

/** Whatever goes wrong here, the value is written. */
async function readBack(turn: Turn, device: Device, point: Point): Promise<{ readBack?: PointReading }> {
  if (point.access === 'write') return {};
  try {
    const [reading] = await readPoints(turn, device, [point]);
    return reading ? { readBack: reading } : {};
  } catch {
    return {};
  }
}
