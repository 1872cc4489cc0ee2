/** From addresses as written to node ids of this server, as its namespaces are numbered now. */
import { type BrowsePathResult, makeNodeId, NodeId, TranslateBrowsePathsToNodeIdsRequest } from 'node-opcua-client';
import type { Device, Point } from '../../src/model.js';
import { escapedUri, parseBrowsePath, parseNodeId, type WrittenName, type WrittenNodeId } from './address.js';
import type { OpcuaAddress, OpcuaDevice } from './schema.js';
import { isBad, wordsOf } from './status.js';
import { Fault, type Wire } from './wire.js';

/** A node of the server, or why there is none. */
export type Place = NodeId | string;

/** RootFolder and HierarchicalReferences (OPC UA Part 5). */
const ROOT = makeNodeId(84, 0);
const HIERARCHICAL = makeNodeId(33, 0);

const KINDS: Readonly<Record<WrittenNodeId['kind'], 1 | 2 | 3 | 4>> = { i: 1, s: 2, g: 3, b: 4 };
const LETTERS = ['', 'i', 's', 'g', 'b'];

/** Milliseconds after which a path that led nowhere is tried again. */
const RETRY = 60_000;

/** Finds the nodes of points, and remembers them. */
export class Nodes {
  readonly #wire: Wire;
  readonly #known = new WeakMap<object, Map<Point<OpcuaAddress>, Place>>();
  readonly #lost = new WeakMap<object, number>();

  constructor(wire: Wire) {
    this.#wire = wire;
  }

  /** The nodes of a device's points, in their order. */
  async find(device: Device<OpcuaDevice, OpcuaAddress>, points: readonly Point<OpcuaAddress>[]): Promise<Place[]> {
    let known = this.#known.get(device);
    if (!known) {
      known = new Map();
      this.#known.set(device, known);
    }
    const again = performance.now() - (this.#lost.get(device) ?? Number.POSITIVE_INFINITY) > RETRY;
    const wanted = points.filter((point) => {
      const place = known.get(point);
      return place === undefined || (again && typeof place === 'string');
    });
    if (wanted.length > 0) {
      const places = await this.#look(device.settings.root, wanted);
      wanted.forEach((point, index) => {
        known.set(point, places[index] as Place);
      });
      if (places.some((place) => typeof place === 'string')) this.#lost.set(device, performance.now());
    }
    return points.map((point) => known.get(point) as Place);
  }

  /** The node of a point is gone: where a path leads has to be asked again. */
  forget(device: Device<OpcuaDevice, OpcuaAddress>, point: Point<OpcuaAddress>): void {
    this.#known.get(device)?.delete(point);
  }

  /** The node that a text names: a path from the root of all, or a node id. */
  async named(text: string): Promise<Place> {
    if (!text.startsWith('/')) return this.#byId(text);
    const [place] = await this.#follow([{ from: ROOT, names: pathOf(text) }]);
    return place as Place;
  }

  /** The child of a node with a name of the standard's. */
  async below(from: NodeId, name: string): Promise<Place> {
    const [place] = await this.#follow([{ from, names: [{ namespace: 0, name }] }]);
    return place as Place;
  }

  /** A node id as profiles write it: by the URI of its namespace. */
  written(id: NodeId): string {
    const value = Buffer.isBuffer(id.value) ? id.value.toString('base64') : String(id.value);
    const uri = this.#wire.namespaces[id.namespace];
    const prefix = id.namespace === 0 ? '' : uri === undefined ? `ns=${id.namespace};` : `nsu=${escapedUri(uri)};`;
    return `${prefix}${LETTERS[id.identifierType]}=${value}`;
  }

  async #look(root: string | undefined, points: readonly Point<OpcuaAddress>[]): Promise<Place[]> {
    const base =
      root === undefined ? 'the path begins at the device, but the device has no root' : await this.named(root);
    const paths: Start[] = [];
    const waiting: number[] = [];
    const places = points.map(({ address }, index): Place => {
      if (address.node !== undefined) return this.#byId(address.node);
      const path = address.path ?? '';
      const from = path.startsWith('/') ? ROOT : base;
      if (typeof from === 'string') return root === undefined ? from : `root ${root}: ${from}`;
      paths.push({ from, names: pathOf(path) });
      waiting.push(index);
      return '';
    });
    const found = await this.#follow(paths);
    waiting.forEach((index, at) => {
      places[index] = found[at] as Place;
    });
    return places;
  }

  #byId(text: string): Place {
    const written = parseNodeId(text);
    if (typeof written === 'string') return written;
    const namespace = this.#numberOf(written);
    if (typeof namespace === 'string') return namespace;
    const { kind, value } = written;
    const held = kind === 'i' ? Number(value) : kind === 'b' ? Buffer.from(value, 'base64') : value;
    return new NodeId(KINDS[kind], held, namespace);
  }

  #numberOf({ namespace }: { readonly namespace: string | number }): number | string {
    if (typeof namespace === 'number') return namespace;
    const number = this.#wire.namespaces.indexOf(namespace);
    return number >= 0 ? number : `the server has no namespace ${namespace}`;
  }

  /** Lets the server follow paths (TranslateBrowsePathsToNodeIds, OPC UA Part 4 §5.9.4). */
  async #follow(starts: readonly Start[]): Promise<Place[]> {
    const places: Place[] = starts.map(() => '');
    const asked: { index: number; startingNode: NodeId; relativePath: object }[] = [];
    starts.forEach(({ from, names }, index) => {
      const elements: object[] = [];
      for (const name of names) {
        const namespaceIndex = this.#numberOf(name);
        if (typeof namespaceIndex === 'string') {
          places[index] = namespaceIndex;
          return;
        }
        elements.push({
          referenceTypeId: HIERARCHICAL,
          isInverse: false,
          includeSubtypes: true,
          targetName: { namespaceIndex, name: name.name },
        });
      }
      asked.push({ index, startingNode: from, relativePath: { elements } });
    });
    let results: (Place | undefined)[];
    try {
      results = await this.#wire.inParts('translate', asked, async (part) => {
        const browsePaths = part.map(({ startingNode, relativePath }) => ({ startingNode, relativePath }));
        const request = new TranslateBrowsePathsToNodeIdsRequest({ browsePaths });
        const { results: answers } = await this.#wire.call<{ results: BrowsePathResult[] | null }>(request);
        return (answers ?? []).map(placeOf);
      });
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      results = asked.map(() => error.message);
    }
    asked.forEach(({ index }, at) => {
      places[index] = results[at] ?? 'the server left it out of its answer';
    });
    return places;
  }
}

interface Start {
  readonly from: NodeId;
  readonly names: readonly WrittenName[];
}

function pathOf(text: string): readonly WrittenName[] {
  const path = parseBrowsePath(text);
  return typeof path === 'string' ? [] : path.names;
}

/** The one node at the end of a path. */
function placeOf({ statusCode, targets }: BrowsePathResult): Place {
  if (isBad(statusCode)) return `no such path: ${wordsOf(statusCode)}`;
  const whole = (targets ?? []).filter(({ remainingPathIndex }) => remainingPathIndex === 0xffff_ffff);
  const [target] = whole;
  if (target === undefined) return 'the path leads to another server';
  const { identifierType, value, namespace } = target.targetId;
  return new NodeId(identifierType, value, namespace);
}
