/**
 * The gateway's own topics: what the rules send to `local`, one retained message per point, `site/{device}/{point}`. A Canonical Data
 * Model (Hohpe and Woolf): the same form whatever the device speaks.
 *
 * `{"value":230.5,"unit":"V","ts":1764312000000}`, and when it is not good `"quality":"bad","reason":"timeout"` beside it, or
 * `"clock":"unset"` when nobody vouches for the time. `site/{device}/$state` says in the same form how a device stands; no point is called so.
 */
import type { Device, DeviceEvent, Flaw, TelemetryEvent, Value } from '../model.js';
import { toJson } from '../ops/text.js';
import { SITE } from './rights.js';

/** Publishes a retained message; an empty payload clears its topic. */
type Publish = (topic: string, payload: string) => void;

/** Whether anything sends a point to `local`. */
export type Sends = (device: Device, point: string) => boolean;

/** How a device stands. */
export type Standing = Pick<DeviceEvent, 'device' | 'state' | 'reason' | 'at' | 'clock'>;

/** A value that stays the same is told again after this, in milliseconds, so that its time shows that it still holds. */
const AGAIN = 60_000;

/** A point that was published. */
interface Told {
  readonly topic: string;
  /** `,"unit":"V"`, or nothing. */
  readonly unit: string;
  value: Value;
  flaw: Flaw | undefined;
  at: number;
}

/** The points of one device, by name; and those of each list of names, in its order. */
interface Known {
  readonly device: Device;
  readonly points: Map<string, Told>;
  readonly shapes: WeakMap<readonly string[], readonly Told[]>;
}

export class SiteTopics {
  readonly #publish: Publish;
  readonly #known = new Map<string, Known>();
  #devices = new Map<string, Device>();

  constructor(publish: Publish) {
    this.#publish = publish;
  }

  /** Publishes what differs from what was published before, and what was published long ago. */
  take(event: TelemetryEvent): void {
    const device = this.#devices.get(event.device);
    if (!device) return;
    const { names, values, flaws, at } = event;
    const shape = this.#shape(device, names);
    for (let index = 0; index < shape.length; index++) {
      const told = shape[index] as Told;
      const value = values[index] as Value;
      const flaw = flaws?.get(index);
      const same =
        value === told.value ||
        (value !== null && typeof value === 'object' && value.text === structureText(told.value));
      const asGood = flaw?.quality === told.flaw?.quality && flaw?.reason === told.flaw?.reason;
      if (same && asGood && at - told.at < AGAIN && at >= told.at) continue;
      told.value = value;
      told.flaw = flaw;
      told.at = at;
      this.#publish(told.topic, payloadOf(value, told.unit, event, flaw));
    }
  }

  /** Publishes how a device stands; of one that is retired nothing stays. */
  stand({ device, state, at: ts, clock, reason }: Standing): void {
    const payload = state === 'retired' ? '' : toJson({ value: state, ts, clock, reason });
    this.#publish(`${SITE}/${device}/$state`, payload);
  }

  /** The devices from now on. What was published of others, and of points that nothing sends any more, is cleared. */
  use(devices: readonly Device[], sends: Sends): void {
    this.#devices = new Map(devices.map((device) => [device.id, device]));
    for (const [id, { device: before, points }] of this.#known) {
      const device = this.#devices.get(id);
      const kept = new Map<string, Told>();
      for (const [point, told] of points)
        if (device?.points.some((own) => own.id === point) && sends(device, point))
          // A device that differs begins anew: its topics hold what they have until it tells its own.
          kept.set(point, device === before ? told : newPoint(device, point));
        else this.#publish(told.topic, '');
      if (device) this.#known.set(id, { device, points: kept, shapes: new WeakMap() });
      else this.#known.delete(id);
    }
  }

  #shape(device: Device, names: readonly string[]): readonly Told[] {
    let known = this.#known.get(device.id);
    if (!known) {
      known = { device, points: new Map(), shapes: new WeakMap() };
      this.#known.set(device.id, known);
    }
    const { points, shapes } = known;
    let shape = shapes.get(names);
    if (!shape) {
      shape = names.map((name) => points.get(name) ?? newPoint(device, name));
      for (const [index, told] of shape.entries()) points.set(names[index] as string, told);
      shapes.set(names, shape);
    }
    return shape;
  }
}

function newPoint(device: Device, name: string): Told {
  const unit = device.points.find(({ id }) => id === name)?.unit;
  return {
    topic: `${SITE}/${device.id}/${name}`,
    unit: unit === undefined ? '' : `,"unit":${JSON.stringify(unit)}`,
    value: null,
    flaw: undefined,
    at: Number.NEGATIVE_INFINITY,
  };
}

function payloadOf(value: Value, unit: string, { at, clock }: TelemetryEvent, flaw: Flaw | undefined): string {
  const unset = clock ? ',"clock":"unset"' : '';
  const flawed = flaw ? `,"quality":"${flaw.quality}","reason":${JSON.stringify(flaw.reason)}` : '';
  return `{"value":${valueText(value)}${unit},"ts":${at}${unset}${flawed}}`;
}

function valueText(value: Value): string {
  if (typeof value === 'number' && Number.isFinite(value)) return `${value}`;
  return structureText(value) ?? toJson(value);
}

function structureText(value: Value): string | undefined {
  return typeof value === 'object' ? value?.text : undefined;
}
