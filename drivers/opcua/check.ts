/** Whether a point can live at its address. */
import type { Point } from '../../src/model.js';
import { numbered } from './address.js';
import type { OpcuaAddress } from './schema.js';

const NUMBERS = /^(u?int|float)/;

/** What is wrong with a point, in words for people, or undefined. */
export function checkPoint({ type, access, address }: Point<OpcuaAddress>): string | undefined {
  const { mode, sampling, queue, server_deadband: deadband, range } = address;
  if (mode === 'poll' && (sampling !== undefined || queue !== 1 || deadband !== undefined))
    return 'sampling, queue and server_deadband belong to a subscription: remove them, or mode: poll';
  if (deadband !== undefined && !NUMBERS.test(type) && type !== 'json')
    return `a ${type} has no server_deadband: only numbers can`;
  if (range?.includes(':') && type !== 'json')
    return 'a range of several elements makes an array: write type: json, or one index';
  if (access === 'write' && (sampling !== undefined || deadband !== undefined))
    return 'a point that is only written is not sampled: remove sampling and server_deadband';
  return undefined;
}

/** What works today and may not tomorrow, or undefined. */
export function advisePoint({ address }: Point<OpcuaAddress>): { message: string; hint: string } | undefined {
  if (!numbered(address)) return undefined;
  return {
    message: 'the namespace is named by its number, which a server may change at its next start',
    hint: 'write its URI, nsu=…; `tidegate browse` shows it',
  };
}
