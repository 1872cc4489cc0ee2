/** The contract between Tidegate and `drivers/`. A driver is a plain object; a missing optional method means "not supported". */
import type { Duplex } from 'node:stream';
import type { Logger } from 'pino';
import type { ZodType } from 'zod';
import type { Device, Identity, Point, Push, Samples, Value } from './model.js';

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
  /** What a connection holds alone, such as the path of a serial port: no two connections may claim the same. */
  claims?(connection: Connection): string | undefined;
  /** Whether a connection goes to the site's own broker (`DriverContext.local`), which gateway.yaml must then have. */
  isLocal?(connection: Connection): boolean;
  /** Profiles that a connection names for devices that it finds: they must be there, and be for this driver. */
  profilesOf?(connection: Connection): readonly NamedProfile[];
  /** The first and the last place that a session can look at for devices (unit ids). */
  readonly places?: readonly [number, number];
  /** Says what is wrong with a point (its type cannot live at that address, …), or undefined. */
  checkPoint(point: Point<Address>): string | undefined;
  /**
   * Milliseconds of the wire's time that reading these points at once takes, as planned before anything is measured; half as many where
   * it takes two requests at a time. See `tidegate check` and `tidegate watch`.
   */
  cost?(connection: Connection, device: Device<Settings, Address>, points: readonly Point<Address>[]): number;
  /** Decodes an example by the same code that decodes a reply. Points that the example does not cover are bad. */
  decodeExample(points: readonly Point<Address>[], example: Example): Samples;
  /**
   * Opens one wire. Loads the protocol library; connects before it resolves.
   * @throws TidegateError of kind `reconnect` when the other side cannot be reached
   */
  open(connection: Connection, context: DriverContext): Promise<Session<Settings, Address>>;
  /** Serves devices over the same protocol, with plausible moving values: demo, tests, `tidegate simulate`. */
  simulate?(devices: readonly Device<Settings, Address>[], options: SimulatorOptions): Promise<Simulator>;
  /** What its simulator can do wrong on request; nothing when absent. */
  readonly faults?: readonly FaultKind[];
  /** Keys that a simulated device has unless its profile says otherwise, where every device must have some of its own. */
  readonly simulated?: Readonly<Record<string, unknown>>;
  /** What works today and may not tomorrow, for `tidegate check`; undefined when all is well. */
  advisePoint?(point: Point<Address>): { readonly message: string; readonly hint: string } | undefined;
  /** Whom the driver trusts, kept in its folder (`DriverContext.data`). See `tidegate trust`. */
  trust?(data: string): TrustStore;
}

/** A profile that a connection names, and the keys of the connection that lead to it. */
export interface NamedProfile {
  readonly profile: string;
  readonly path: readonly string[];
}

/** What the runtime lends to a session. */
export interface DriverContext {
  readonly log: Logger;
  /** A folder of the driver's own, for what it must keep (certificates, …). Shared by all its sessions; made by whoever writes first. */
  readonly data: string;
  /** Id of the connection that is opened, and name of the gateway: how a session introduces itself. */
  readonly connection: string;
  readonly gateway: string;
  /** Opens a connection to the site's own MQTT broker, within the process and with all rights; absent when `gateway.yaml` has none. */
  readonly local?: () => Duplex;
}

/** What can be decided on a certificate. */
export type TrustDecision = 'trusted' | 'rejected';

/** A certificate as people judge it. */
export interface KnownCertificate {
  /** `waiting` for somebody to decide; `own` is ours. */
  readonly state: 'waiting' | TrustDecision | 'own';
  readonly subject: string;
  /** SHA-256 in small letters; `sha1` is what most OPC UA tools call the thumbprint. */
  readonly fingerprint: string;
  readonly sha1: string;
  /** First and last day (`2027-03-01`). */
  readonly from: string;
  readonly until: string;
  /** Host names and addresses, and the application URI that it is made out to. */
  readonly hosts: readonly string[];
  readonly uri?: string;
  /** It may vouch for others. */
  readonly authority: boolean;
  /** Where it was met: `press at opc.tcp://10.0.0.9:4840`. */
  readonly met: readonly string[];
  /** That it ends within 30 days or has ended: `expires on 2027-03-01, in 12 days`. */
  readonly ends?: string;
  /** What to think of before trusting it: that it is made out to another host; whom an authority has taken back. */
  readonly notes?: readonly string[];
}

/** The certificates of other sides, and what people decided on them. Works while a gateway runs. */
export interface TrustStore {
  /** All that are known, those that wait first, our own last. */
  list(): Promise<KnownCertificate[]>;
  /** Takes a decision on one of them, by its SHA-256 fingerprint. */
  decide(fingerprint: string, decision: TrustDecision): Promise<void>;
  /**
   * Trusts a certificate (PEM or DER) that was brought along, also that of an authority; or takes the authority's revocation list, and
   * gives the authority.
   * @throws TidegateError CONFIG_FILE when it is neither, USAGE when a list is of nobody who is trusted
   */
  add(bytes: Buffer): Promise<KnownCertificate>;
  /** Our own, which other sides must trust; made when there is none, or anew. */
  own(options: {
    readonly gateway: string;
    readonly renew?: boolean;
  }): Promise<KnownCertificate & { readonly der: Buffer }>;
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
   * Lets a device tell these points by itself. The first values come by `push` too. What cannot be subscribed to is `polled`: the
   * runtime reads it. Ends with the session, or when its `close` is called.
   * @throws TidegateError of kind `reconnect`, only when the wire itself is gone
   */
  subscribe?(
    device: Device<Settings, Address>,
    points: readonly Point<Address>[],
    listener: Listener,
  ): Promise<Subscription<Address>>;
  /**
   * Writes one raw value (already unscaled).
   * @throws TidegateError of kind `reconnect` when the wire is gone, `reject` when the device refuses, `retry` when it does not
   *   answer or is busy: whether it took the value is then unknown
   */
  write?(device: Device<Settings, Address>, point: Point<Address>, raw: Value, signal: AbortSignal): Promise<void>;
  /** What stands at a place of the server's own tree of names; the roots when `path` is empty. See `tidegate browse`. */
  browse?(path: string, signal: AbortSignal): AsyncIterable<BrowsedNode>;
  /**
   * What stands at a place of a device (written as the driver writes addresses), read in every way that it may be meant.
   * @throws TidegateError USAGE when the place is none, DEVICE_UNAVAILABLE when it cannot be read, and of kind `reconnect`
   */
  decode?(device: Device<Settings, Address>, place: string, signal: AbortSignal): Promise<Decoding>;
  /**
   * Looks whether a device is at one of the driver's `places`. See `tidegate scan`.
   * @throws TidegateError of kind `reconnect` when the wire is gone
   */
  scan?(place: number, signal: AbortSignal): Promise<FoundDevice | undefined>;
  /**
   * Tells of devices that announce themselves on this wire, also of those that are configured, and again when what they say of
   * themselves changes. Ends with the session, or when the returned `close` is called.
   * @throws TidegateError of kind `reconnect`, only when the wire itself is gone
   */
  discover?(found: (device: FoundDevice) => void): Promise<{ close(): Promise<void> }>;
  /** Ends the session within a second; all that is pending is rejected. Never throws. */
  close(): Promise<void>;
}

/** Where a subscription tells its news. All calls may come before `subscribe` has resolved, none after `close`. */
export interface Listener {
  /** Values. The device is there. */
  push(push: Push): void;
  /** The device went silent (it said goodbye, its subscription ended): all its points are bad until the next push. */
  silent(reason: string): void;
  /** The wire itself is gone: an error of kind `reconnect`; the runtime closes the session and opens another. */
  broke(error: unknown): void;
}

/** A device that tells by itself. */
export interface Subscription<Address = unknown> {
  /** Those of the points that have to be polled. */
  readonly polled: readonly Point<Address>[];
  /** Ends it. Never throws. */
  close(): Promise<void>;
}

/** One entry of a server's tree of names. */
export interface BrowsedNode {
  /** To be given to `browse` for what is below it. */
  readonly path: string;
  /** The same for all paths to the same place, so that nobody walks in circles; `path` when absent. */
  readonly id?: string;
  /** What people call it. */
  readonly name: string;
  /** A folder or object, or something that can be read. */
  readonly kind: 'folder' | 'value';
  /** The protocol's own, beside what the plant has: shown, but nobody looks into it, or makes a profile of it, who does not ask for it. */
  readonly aside?: boolean;
  /** For a value: the keys of a point in a profile that reads it (`type`, the driver's address, `unit`, `access`, …). */
  readonly point?: Readonly<Record<string, unknown>>;
  /** For a value: what an example of a profile writes for it, by the example's keys; `value` is what that gives. */
  readonly example?: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  /** For a value: what it shows now. */
  readonly value?: Value;
}

/** What stands at some neighbouring places, in every way that it may be meant. */
export interface Decoding {
  /** The places, for people. */
  readonly places: readonly string[];
  /** What is there, in hexadecimal; empty where nothing can be read. */
  readonly raw: readonly string[];
  /** One way each: its name, the keys that a point in a profile needs for it, and its value at each place; null where it has none. */
  readonly rows: readonly {
    readonly as: string;
    readonly keys: Readonly<Record<string, unknown>>;
    readonly values: readonly Value[];
  }[];
}

/** A device that answered a scan, or announced itself. */
export interface FoundDevice {
  /** Keys of a device in gateway.yaml that reach it (`unit: 17`), beside `profile` and `connection`. */
  readonly settings: Readonly<Record<string, unknown>>;
  readonly identity: Identity;
  /** What it would be called in gateway.yaml, and the profile that fits it, where the driver can tell. */
  readonly name?: string;
  readonly profile?: string;
}

/** How to read. */
export interface ReadOptions {
  /** Aborts when the runtime stops. */
  readonly signal: AbortSignal;
  /** Also bring back the raw words as text. */
  readonly raw?: boolean;
}

/** Where a simulator listens, and how well it behaves. */
export interface SimulatorOptions {
  /** Address to listen on. */
  readonly host: string;
  /** Port to listen on; 0 takes a free one. */
  readonly port: number;
  /** A serial line instead, for drivers that know one. */
  readonly serial?: { readonly path: string; readonly baud?: number; readonly parity?: string };
  /** Asked before each answer what to do wrong with it: only what the driver's `faults` name. */
  readonly faults?: () => Fault;
}

/**
 * What a simulator can do wrong with an answer: say nothing, refuse by the protocol's own error, send what is none, break off in the
 * middle and close the connection, be late.
 */
export type FaultKind = 'timeout' | 'exception' | 'garbage' | 'drop' | 'delay';

/** What is wrong with one answer: nothing when both are absent. */
export interface Fault {
  readonly kind?: Exclude<FaultKind, 'delay'>;
  /** Milliseconds that it comes late. */
  readonly delay?: number;
}

/** A running simulator. */
export interface Simulator {
  /** Where it listens; on a serial line its path, and port 0. */
  readonly host: string;
  readonly port: number;
  close(): Promise<void>;
}
