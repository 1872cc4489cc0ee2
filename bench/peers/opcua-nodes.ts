/** The nodes of the benchmark's OPC UA server. */
export const NAMESPACE = 'urn:tidegate:bench';

/** Id of a node, by its number. */
export const nodeOf = (index: number): string => `nsu=${NAMESPACE};s=${index}`;

/** What the server is to have: so many variables, all of which change so often (milliseconds). */
export interface ServerLoad {
  readonly items: number;
  readonly every: number;
  /** Where it keeps its certificate. */
  readonly folder: string;
}

/** What a client is to subscribe to. */
export interface ClientLoad extends ServerLoad {
  readonly port: number;
  /** The server's certificate, PEM. */
  readonly certificate: string;
}
