/** Faults that a simulator is asked for: `timeout:5%`, `delay:200ms`. */
import type { Fault, FaultKind } from '../driver.js';
import { TidegateError } from '../errors.js';
import { parseDuration } from '../units.js';
import { random } from './random.js';

/** One kind of fault, and how often. */
export interface FaultRate {
  readonly kind: FaultKind;
  /** In how many of the answers: 1 is all. */
  readonly share: number;
  /** Milliseconds of a delay, else 0. */
  readonly delay: number;
}

const KINDS: readonly FaultKind[] = ['timeout', 'exception', 'garbage', 'drop', 'delay'];
const LONGEST_DELAY = 3_600_000;
const HINT =
  'Write timeout:5%, exception:2%, garbage:1%, drop:0.1%, delay:200ms for all answers or delay:200ms:10% for some.';

/**
 * Reads faults as they are written on the command line.
 * @throws TidegateError USAGE
 */
export function parseFaults(texts: readonly string[]): FaultRate[] {
  const rates = texts.map(parseFault);
  const kinds = rates.map(({ kind }) => kind);
  const twice = kinds.find((kind, at) => kinds.indexOf(kind) !== at);
  if (twice) throw wrong(`${twice} is there twice`);
  const sum = rates.reduce((sum, { kind, share }) => sum + (kind === 'delay' ? 0 : share), 0);
  if (sum > 1 + 1e-9) throw wrong('the shares are more than 100 % together');
  return rates;
}

function parseFault(text: string): FaultRate {
  const [word = '', ...rest] = text.split(':');
  const kind = KINDS.find((known) => known === word);
  if (!kind) throw wrong(`there is no fault "${word}"; there are ${KINDS.join(', ')}`);
  const delay = kind === 'delay' ? parseDuration(rest.shift()) : 0;
  if (delay === undefined || delay > LONGEST_DELAY) throw wrong(`"${text}" does not say how long, at most 1h`);
  const [percent = kind === 'delay' ? '100%' : '', ...more] = rest;
  const [, number = ''] = /^(\d+(?:\.\d+)?)%$/.exec(percent) ?? [];
  const share = Number(number) / 100;
  if (number === '' || share > 1 || more.length > 0) throw wrong(`"${text}" does not say how often, from 0% to 100%`);
  return { kind, share, delay };
}

const wrong = (what: string): TidegateError => new TidegateError('USAGE', `--fault: ${what}`, { hint: HINT });

/** Says for each answer what is wrong with it, in the same order for the same seed. */
export function drawFaults(rates: readonly FaultRate[], seed: number): () => Fault {
  const next = random(seed);
  const late = rates.find(({ kind }) => kind === 'delay');
  return () => {
    const delay = late && next() < late.share ? { delay: late.delay } : undefined;
    let left = next();
    for (const { kind, share } of rates) {
      if (kind === 'delay') continue;
      if (left < share) return { kind, ...delay };
      left -= share;
    }
    return { ...delay };
  };
}

/** As people read it: `timeout 5 %, delay 200 ms`. */
export function faultsText(rates: readonly FaultRate[]): string {
  return rates
    .map(({ kind, share, delay }) => {
      const often = `${Math.round(share * 1e6) / 1e4} %`;
      return kind === 'delay' ? `delay ${delay} ms${share < 1 ? ` in ${often}` : ''}` : `${kind} ${often}`;
    })
    .join(', ');
}
