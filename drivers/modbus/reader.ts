/** One read of one device: runs its plan, splits what the device refuses, and settles every point. */
import type { ReadOptions } from '../../src/driver.js';
import type { Flaw, Point, Samples, Value } from '../../src/model.js';
import { DATA_AT, Failure } from './frame.js';
import type { Memory } from './memory.js';
import { halve, type Plan, type Request } from './plan.js';
import { isBitTable, type ModbusAddress } from './schema.js';
import type { Wire } from './wire.js';

/** What a read needs beside the points. */
export interface ReadContext {
  readonly wire: Wire;
  readonly memory: Memory;
  /** Requests of this read that may be on the wire at once. */
  readonly lanes: number;
  /** Told once of registers that fail by themselves. */
  onBad(what: string): void;
}

/**
 * One raw value or one flaw for each point. Ends at the first request that stays without reply: the rest would only wait as long again.
 * @throws TidegateError LINK_DOWN when the connection is gone
 */
export async function readPoints(
  context: ReadContext,
  points: readonly Point<ModbusAddress>[],
  options: ReadOptions,
): Promise<Samples> {
  const plan = context.memory.plan(points);
  const reading = new Reading(context, points.length, options);
  for (const { index, reason } of plan.refused) reading.flaw(index, reason);
  if (plan.requests.length > 0) await runRequests(reading, plan, context.lanes);
  if (plan.probes.length > 0) await runProbes(reading, plan, context.memory);
  const { values, flaws, raw } = reading;
  return { values, answered: reading.answered || plan.requests.length + plan.probes.length === 0, flaws, raw };
}

function runRequests(reading: Reading, plan: Plan, lanes: number): Promise<unknown> {
  const { requests, first } = plan;
  let taken = 0;
  const lane = async (): Promise<void> => {
    while (taken < requests.length) {
      const turn = (first + taken++) % requests.length;
      const wasHalted = reading.halted;
      await reading.ask(requests[turn] as Request);
      if (reading.halted && !wasHalted) plan.first = (turn + 1) % requests.length;
    }
  };
  if (lanes === 1 || requests.length < 2) return lane();
  return Promise.all(Array.from({ length: Math.min(lanes, requests.length) }, lane));
}

/** Bad registers are asked again when it is time, or when there is nothing else to ask; one that answers lets the next be asked at once. */
async function runProbes(reading: Reading, plan: Plan, memory: Memory): Promise<void> {
  let mayAsk = plan.requests.length === 0 || plan.probes.some((probe) => memory.isDue(probe));
  const byDue = mayAsk
    ? [...plan.probes].sort((a, b) => Number(memory.isDue(b)) - Number(memory.isDue(a)))
    : plan.probes;
  for (const probe of byDue) {
    if (!mayAsk) reading.fail(probe, memory.reasonOf(probe));
    else if (await reading.ask(probe)) memory.forgetBad(probe);
    else mayAsk = false;
  }
}

class Reading {
  readonly values: Value[];
  flaws: Map<number, Flaw> | undefined;
  readonly raw: Map<number, string> | undefined;
  answered = false;
  /** Why nothing more is asked. */
  halted: string | undefined;
  readonly #context: ReadContext;
  readonly #options: ReadOptions;

  constructor(context: ReadContext, count: number, options: ReadOptions) {
    this.#context = context;
    this.#options = options;
    this.values = new Array<Value>(count).fill(null);
    this.raw = options.raw ? new Map() : undefined;
  }

  flaw(index: number, reason: string): void {
    this.flaws ??= new Map();
    this.flaws.set(index, { quality: 'bad', reason });
  }

  fail(request: Request, reason: string): void {
    for (const { index } of request.entries) this.flaw(index, reason);
  }

  /** True when all points of the request were read. */
  async ask(request: Request): Promise<boolean> {
    if (this.#options.signal.aborted) this.halted ??= 'stopped';
    if (this.halted) {
      this.fail(request, this.halted);
      return false;
    }
    const reply = await this.#context.wire.request(request.frame);
    if (!(reply instanceof Failure)) {
      this.answered = true;
      this.#take(request, reply);
      return true;
    }
    if (reply.silent) this.halted = reply.reason;
    else this.answered = true;
    // Illegal data address and illegal data value: some of it may still be readable.
    if (reply.code === 2 || reply.code === 3) return this.#split(request, reply);
    this.fail(request, reply.reason);
    return false;
  }

  async #split(request: Request, refusal: Failure): Promise<boolean> {
    const { memory, onBad } = this.#context;
    const halves = halve(memory.unit, request);
    if (!halves) {
      const last = request.address + request.count - 1;
      const where = request.count === 1 ? `${request.address}` : `${request.address} to ${last}`;
      if (memory.learnBad(request, refusal.reason)) onBad(`${request.table} ${where}: ${refusal.reason}`);
      this.fail(request, refusal.reason);
      return false;
    }
    const [left, right] = halves;
    const leftGood = await this.ask(left);
    const rightGood = await this.ask(right);
    if (leftGood && rightGood) memory.learnCut(right.table, right.address);
    return leftGood && rightGood;
  }

  #take(request: Request, reply: Buffer): void {
    const { entries } = request;
    for (let entry = 0; entry < entries.length; entry += 1) {
      const { index, codec, at } = entries[entry] as Request['entries'][number];
      const value = codec.decode(reply, at);
      if (value === null) this.flaw(index, 'not a number');
      else this.values[index] = value;
    }
    if (this.raw) this.#keepRaw(this.raw, request, reply);
  }

  #keepRaw(raw: Map<number, string>, request: Request, reply: Buffer): void {
    for (const { index, codec, at, address } of request.entries) {
      if (isBitTable(request.table)) {
        raw.set(index, codec.decode(reply, at) ? '1' : '0');
        continue;
      }
      const start = DATA_AT + (address - request.address) * 2;
      const words = reply.toString('hex', start, start + codec.span * 2).match(/.{4}/g) ?? [];
      raw.set(index, words.join(' '));
    }
  }
}
