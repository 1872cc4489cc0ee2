/** What the running gateway does on its wires for other commands: it holds them, and many can be opened only once. */
import type { Logger } from 'pino';
import type { BrowsedNode, Decoding, FoundDevice } from '../driver.js';
import { TidegateError } from '../errors.js';
import type { Device, Point } from '../model.js';
import type { Answers, Asker, Request } from '../ops/control.js';
import { browseAt, decodeAt, scanPlace } from './look.js';
import { type PointReading, readable, readPoints } from './read.js';
import type { RunTurn } from './turn.js';
import { type WriteResult, writeText } from './write.js';

/** The gateway's devices and wires, as they are at the moment. */
export interface Field {
  readonly devices: readonly Device[];
  /** How turns are taken on a connection; undefined when the gateway does not have it. */
  runOn(connection: string): RunTurn | undefined;
}

/** The gateway does not have that connection: whoever asks may open it. */
export interface NotHeld {
  readonly held: false;
}

/** Answer to `read`. */
export interface ReadAnswer {
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly points: readonly PointReading[];
}

/** Answer to `scan`. */
export interface ScanAnswer {
  /** Absent when nobody is there. */
  readonly device?: FoundDevice | undefined;
}

/** Answer to `browse`. */
export interface BrowseAnswer {
  readonly nodes: readonly BrowsedNode[];
  /** The tree was walked to its end already. */
  readonly walked?: boolean;
}

/** `read` with `points` (ids; all that can be read when absent), `write` with `point` and `value` (text), `decode` and `scan` with `place`, `browse` with `path`. */
export function answerField(field: () => Field, log: Logger): Answers {
  const on =
    <T extends object>(work: (run: RunTurn, device: Device, request: Request, asker: Asker) => Promise<T>) =>
    async (request: Request, asker: Asker): Promise<T | NotHeld> => {
      const { devices, runOn } = field();
      const device = devices.find(({ id }) => id === request.device);
      const connection = device?.connection ?? String(request.connection);
      const run = runOn(connection);
      if (!run) return { held: false };
      if (!device)
        throw notLoaded(`holds the connection ${connection}, but does not know the device ${request.device}`);
      return work(run, device, request, asker);
    };
  return {
    read: on(async (run, device, { points }, { signal }): Promise<ReadAnswer> => {
      const wanted = Array.isArray(points) ? points.map((id) => pointOf(device, id)) : readable(device);
      const at = Date.now();
      return { at, points: await run((turn) => readPoints(turn, device, wanted), signal) };
    }),
    decode: on((run, device, { place }, { signal }): Promise<Decoding> => {
      return run((turn) => decodeAt(turn, device, String(place)), signal);
    }),
    scan: async ({ connection, place }, { signal }): Promise<ScanAnswer | NotHeld> => {
      const run = field().runOn(String(connection));
      return run ? { device: await run((turn) => scanPlace(turn, Number(place)), signal) } : { held: false };
    },
    browse: async ({ connection, path }, { signal }): Promise<BrowseAnswer | NotHeld> => {
      const run = field().runOn(String(connection));
      return run ? { nodes: await run((turn) => browseAt(turn, String(path)), signal) } : { held: false };
    },
    write: on(async (run, device, { point: id, value }, { signal }): Promise<WriteResult> => {
      const point = pointOf(device, id);
      const result = await writeText(run, device, point, String(value), signal);
      const { outcome, reason } = result;
      log.info({ device: device.id, point: point.id, value, outcome, reason }, 'write by command');
      return result;
    }),
  };
}

function pointOf(device: Device, id: unknown): Point {
  const point = device.points.find((each) => each.id === id);
  if (point) return point;
  throw notLoaded(`knows no point ${id} of the device ${device.id}`);
}

function notLoaded(what: string): TidegateError {
  return new TidegateError('USAGE', `the running gateway ${what}`, {
    hint: 'It runs an older configuration: `tidegate reload` takes up the present one.',
  });
}
