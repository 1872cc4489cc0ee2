/** What one session knows about one device: its plans, and what it learned from its refusals. */
import type { Point } from '../../src/model.js';
import { type BadCell, type Lessons, type Plan, planReads, type Request } from './plan.js';
import type { Price } from './price.js';
import type { Limits, ModbusAddress, Table } from './schema.js';

/** After so long, what was learned is tried again. */
const REVIEW_AFTER = 600_000;

interface KnownCell extends BadCell {
  reason: string;
  /** When to ask again, by `performance.now()`. */
  until: number;
}

export class Memory implements Lessons {
  #plans = new WeakMap<readonly Point<ModbusAddress>[], Plan>();
  readonly #cuts = new Set<string>();
  readonly #bad = new Map<string, KnownCell>();
  #cutsUntil = 0;
  readonly #limits: Limits;
  readonly #price: () => Price;

  /** `price` is asked before each read: when it gives another one, plans are made anew. */
  constructor(
    readonly unit: number,
    limits: Limits,
    price: () => Price,
  ) {
    this.#limits = limits;
    this.#price = price;
  }

  /** The plan of these points, kept by the identity of the array until something is learned. */
  plan(points: readonly Point<ModbusAddress>[]): Plan {
    if (this.#cuts.size > 0 && performance.now() >= this.#cutsUntil) {
      this.#cuts.clear();
      this.#forgetPlans();
    }
    const price = this.#price();
    let plan = this.#plans.get(points);
    if (plan?.price !== price) {
      plan = planReads(this.unit, points, this.#limits, this, price, plan?.first);
      this.#plans.set(points, plan);
    }
    return plan;
  }

  get bad(): Iterable<BadCell> {
    return this.#bad.values();
  }

  isCut(table: Table, address: number): boolean {
    return this.#cuts.size > 0 && this.#cuts.has(`${table} ${address}`);
  }

  /** Both halves are good, but not together: what lies between them is not there, or together they are too long. */
  learnCut(table: Table, address: number): void {
    this.#cuts.add(`${table} ${address}`);
    this.#cutsUntil = performance.now() + REVIEW_AFTER;
    this.#forgetPlans();
  }

  /** These registers fail by themselves. True when that is news. */
  learnBad({ table, address, count }: Request, reason: string): boolean {
    const key = `${table} ${address} ${count}`;
    const known = this.#bad.get(key);
    const until = performance.now() + REVIEW_AFTER;
    if (known) {
      known.reason = reason;
      known.until = until;
      return false;
    }
    this.#bad.set(key, { table, address, span: count, reason, until });
    this.#forgetPlans();
    return true;
  }

  /** They answer again. */
  forgetBad({ table, address, count }: Request): void {
    if (this.#bad.delete(`${table} ${address} ${count}`)) this.#forgetPlans();
  }

  reasonOf({ table, address, count }: Request): string {
    return this.#bad.get(`${table} ${address} ${count}`)?.reason ?? 'not read';
  }

  /** Whether it is time to ask bad registers again. */
  isDue({ table, address, count }: Request): boolean {
    return (this.#bad.get(`${table} ${address} ${count}`)?.until ?? 0) <= performance.now();
  }

  #forgetPlans(): void {
    this.#plans = new WeakMap();
  }
}
