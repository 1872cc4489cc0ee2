/** One read of one device, outside of its schedule: from the words on the wire to the values. */
import type { Device, Flaw, Point, Value } from '../model.js';
import { compileScaling, withFactors } from '../scaling.js';
import type { Turn } from './turn.js';

/** All that a read tells of one point. */
export interface PointReading {
  readonly id: string;
  readonly address: unknown;
  /** What is on the wire, as text; absent when there was no reply. */
  readonly raw?: string;
  readonly decoded: Value;
  readonly value: Value;
  readonly unit?: string;
  readonly quality: 'good' | Flaw['quality'];
  readonly reason?: string;
}

/** What can be read of a device. */
export function readable({ points }: Device): readonly Point[] {
  return points.filter(({ access }) => access !== 'write');
}

/**
 * Reads points of a device.
 * @throws TidegateError of kind `reconnect` when the wire is gone
 */
export async function readPoints(
  { session, signal }: Turn,
  device: Device,
  points: readonly Point[],
): Promise<PointReading[]> {
  const wanted = withFactors(points, device.points);
  const samples = await session.read(device, wanted, { signal, raw: true });
  const decoded = [...samples.values];
  const unread = samples.flaws;
  const scaling = compileScaling(wanted);
  const scaled = scaling.apply({ ...samples, ...(unread && { flaws: new Map(unread) }) });
  return points.map((point, i) => {
    const at = scaling.points.indexOf(point);
    const flaw = at < 0 ? unread?.get(i) : scaled.flaws?.get(at);
    return {
      id: point.id,
      address: point.address,
      raw: samples.raw?.get(i),
      decoded: decoded[i] ?? null,
      value: (at < 0 ? decoded[i] : scaled.values[at]) ?? null,
      unit: point.unit,
      quality: flaw?.quality ?? 'good',
      reason: flaw?.reason,
    };
  });
}
