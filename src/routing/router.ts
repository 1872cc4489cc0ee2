/**
 * Decides where each reading goes: a Content-Based Router whose rules are Message Filters, and whose upstreams form a Recipient List
 * (Hohpe and Woolf, Enterprise Integration Patterns). Matching happens when it is compiled and at the first batch of a list of
 * points; after that a batch costs what the rules that match it cost.
 */
import { compilePatterns } from '../config/pattern.js';
import type { Batch, Device, Point, TelemetryEvent } from '../model.js';
import { LastSent } from './change.js';
import type { Destination } from './exit.js';
import { describeFailure, type Reading } from './expression.js';
import { compileDeviceMatch } from './match.js';
import { compilePlan, type DeviceRule, type Plan } from './plan.js';
import type { Rule } from './rule.js';
import { renderTopic } from './topic.js';

/** What a router is compiled from. */
export interface RouterOptions {
  /** Name of the gateway, for topics. */
  readonly gateway: string;
  /** No rules at all: every upstream gets everything. */
  readonly rules: readonly Rule[];
  readonly devices: readonly Device[];
  /** Every upstream with its own topic template. */
  readonly upstreams: readonly { readonly id: string; readonly topic: string }[];
  /** The router that this one stands in for: rules and devices that are the very objects of before keep what they remember. */
  readonly before?: Router | undefined;
  /** Called once per rule, at the first reading that its expression cannot judge; all of them are counted. */
  onError?(rule: Rule, error: Error): void;
}

/** Counts since the start. */
export interface RouterStats {
  /** Readings that no rule matched. */
  readonly unrouted: number;
  /** Readings judged by a rule with steps, once for each such rule. */
  readonly judged: number;
  /** Readings that did not pass because an expression failed (`value > 5` of a text). */
  readonly failed: number;
}

/** Compiled rules, and what their `change` steps remember. */
export interface Router {
  readonly stats: RouterStats;
  /** What a rule sent last of a device; undefined when it has no such rule or device. */
  remembers(device: Device, rule: Rule): LastSent | undefined;
  /** Whether a rule may send a point of a device to an upstream. */
  reaches(upstream: string, device: Device, point: string): boolean;
  /** Gives the events of a batch, one for each destination that anything passes to. Arrays may be those of the batch. */
  route(batch: Batch, send: (upstream: string, event: TelemetryEvent) => void): void;
}

/** What the rules mean for a device. */
interface DeviceRoute {
  readonly rules: readonly DeviceRule[];
  readonly plans: WeakMap<readonly Point[], Plan>;
  /** The plan used last; most devices have few lists. */
  latest: Plan | undefined;
}

/** Compiles rules for devices. What `change` steps remember belongs to the router that is returned. */
export function compileRouter(options: RouterOptions): Router {
  const stats = { unrouted: 0, judged: 0, failed: 0 };
  const told = new Set<Rule>();
  const fail = (rule: Rule, error: unknown) => {
    stats.failed++;
    if (told.has(rule)) return;
    told.add(rule);
    options.onError?.(rule, new Error(describeFailure(error), { cause: error }));
  };
  const reading = emptyReading();
  const compileRoute = routeCompiler(options);
  const names = new WeakMap<readonly Point[], readonly string[]>();
  const routes = new WeakMap<Device, DeviceRoute>();

  const addRoute = (device: Device): DeviceRoute => {
    const route = compileRoute(device);
    routes.set(device, route);
    return route;
  };
  for (const device of options.devices) addRoute(device);
  const namesOf = (points: readonly Point[]): readonly string[] => {
    const ids = names.get(points) ?? points.map((point) => point.id);
    names.set(points, ids);
    return ids;
  };
  const planOf = (route: DeviceRoute, points: readonly Point[]): Plan => {
    const plan = route.plans.get(points) ?? compilePlan(route.rules, points, namesOf(points), reading, fail);
    route.plans.set(points, plan);
    route.latest = plan;
    return plan;
  };

  return {
    stats,
    remembers: (device, rule) => routes.get(device)?.rules.find((known) => known.rule === rule)?.last,
    reaches: (upstream, device, point) =>
      routes
        .get(device)
        ?.rules.some(
          ({ matchesPoint, destinations }) =>
            matchesPoint(point) && destinations.some((destination) => destination.upstream === upstream),
        ) ?? false,
    route(batch, send) {
      const { device, points } = batch;
      const route = routes.get(device) ?? addRoute(device);
      const plan = route.latest?.points === points ? route.latest : planOf(route, points);
      stats.unrouted += plan.unrouted;
      if (plan.filters.length > 0) {
        stats.judged += plan.judged;
        reading.device = device.id;
        reading.profile = device.profile;
        reading.tags = device.tags;
        reading.at.setTime(batch.at);
        for (const exit of plan.exits) exit.clear();
        for (const filter of plan.filters) filter.run(batch);
      }
      for (const exit of plan.exits) {
        const event = exit.take(batch);
        if (event) send(exit.destination.upstream, batch.clock ? { ...event, clock: batch.clock } : event);
      }
    },
  };
}

/** Prepares the rules once, and gives what compiles them for one device. */
function routeCompiler({ gateway, rules, upstreams, before }: RouterOptions): (device: Device) => DeviceRoute {
  const topics = new Map(upstreams.map(({ id, topic }) => [id, topic]));
  const everything: Rule = {
    title: 'everything to every upstream',
    file: '',
    match: {},
    steps: [],
    to: [...topics.keys()],
    lane: 'live',
  };
  const prepared = (rules.length > 0 ? rules : [everything]).map((rule) => ({
    rule,
    matchesDevice: compileDeviceMatch(rule.match),
    matchesPoint: compilePatterns(rule.match.point),
  }));
  return (device) => {
    const destinations = new Map<string, Destination>();
    const destinationOf = (rule: Rule, upstream: string): Destination => {
      const topic = renderTopic(rule.topic ?? topics.get(upstream) ?? '', { gateway, upstream, device });
      const key = `${upstream}\n${rule.lane}\n${topic}`;
      const destination = destinations.get(key) ?? { upstream, lane: rule.lane, topic };
      destinations.set(key, destination);
      return destination;
    };
    const matching = prepared.filter(({ matchesDevice }) => matchesDevice(device));
    return {
      rules: matching.map(({ rule, matchesPoint }) => ({
        rule,
        matchesPoint,
        last: before?.remembers(device, rule) ?? new LastSent(),
        destinations: [...new Set(rule.to)].map((upstream) => destinationOf(rule, upstream)),
      })),
      plans: new WeakMap(),
      latest: undefined,
    };
  };
}

function emptyReading(): Reading {
  return { value: null, quality: 'good', device: '', point: '', profile: '', unit: '', tags: {}, at: new Date(0) };
}
