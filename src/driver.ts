/** The contract between Tidegate and `drivers/`. A driver is a plain object; a missing optional method means "not supported". */
import type { Logger } from 'pino';
import type { ZodType } from 'zod';
import type { Device, Point, Samples, Value } from './model.js';

/** One field protocol. Its three schemas check `gateway.yaml` and profiles; editors' JSON Schemas and the reference come from them. */
export interface Driver<Connection = unknown, Settings = unknown, Address = unknown, Example = unknown> {
  /** The word written behind `driver:`. */
  readonly name: string;
  readonly title: string;
  /** Keys of a connection, beside `driver`. */
  readonly connection: ZodType<Connection>;
  /** Keys of a device, beside `profile`, `connection` and `tags`. */
  readonly device: ZodType<Settings>;
  /** Keys of a point, beside the common ones; also checked against its type by `checkPoint`. */
  readonly address: ZodType<Address>;
  /** Keys of a profile's example beside `gives`: what is on the wire. */
  readonly example: ZodType<Example>;
  /** Says what is wrong with a point (its type cannot live at that address, …), or undefined. */
  checkPoint(point: Point<Address>): string | undefined;
  /** Decodes an example by the same code that decodes a reply. Points that the example does not cover are bad. */
  decodeExample(points: readonly Point<Address>[], example: Example): Samples;
  /**
   * Opens one wire. Loads the protocol library; connects before it resolves.
   * @throws TidegateError of kind `reconnect` when the other side cannot be reached
   */
  open(connection: Connection, context: DriverContext): Promise<Session<Settings, Address>>;
  /** Serves devices over the same protocol, with plausible moving values: demo, tests, `tidegate simulate`. */
  simulate?(devices: readonly Device<Settings, Address>[], options: SimulatorOptions): Promise<Simulator>;
}

/** What the runtime lends to a session. */
export interface DriverContext {
  readonly log: Logger;
}

/** One wire. The runtime never calls `read` or `write` again once `close` was called, nor two at once unless the session says so. */
export interface Session<Settings = unknown, Address = unknown> {
  /** How many calls the wire takes at once; 1 when absent. */
  readonly concurrency?: number;
  /**
   * Reads points of one device: one raw value or one flaw for each. Always settles within the connection's timeout per request.
   * The array of points is the same object whenever the same points are due, so plans can be kept by its identity.
   * @throws TidegateError of kind `reconnect`, only when the wire itself is gone: the runtime closes the session and opens another
   */
  read(device: Device<Settings, Address>, points: readonly Point<Address>[], options: ReadOptions): Promise<Samples>;
  /**
   * Writes one raw value (already unscaled).
   * @throws TidegateError of kind `reconnect` when the wire is gone, `reject` when the device refuses, `retry` when it does not
   *   answer or is busy: whether it took the value is then unknown
   */
  write?(device: Device<Settings, Address>, point: Point<Address>, raw: Value, signal: AbortSignal): Promise<void>;
  /** Ends the session within a second; all that is pending is rejected. Never throws. */
  close(): Promise<void>;
}

/** How to read. */
export interface ReadOptions {
  /** Aborts when the runtime stops. */
  readonly signal: AbortSignal;
  /** Also bring back the raw words as text. */
  readonly raw?: boolean;
}

/** Where a simulator listens. */
export interface SimulatorOptions {
  /** Address to listen on. */
  readonly host: string;
  /** Port to listen on; 0 takes a free one. */
  readonly port: number;
}

/** A running simulator. */
export interface Simulator {
  /** Where it listens. */
  readonly host: string;
  readonly port: number;
  close(): Promise<void>;
}
