/** Status codes (OPC UA Part 4 §7.39) as quality, with a reason that people can read. */
import type { Flaw } from '../../src/model.js';

/** A status code as the library gives it. */
export interface Status {
  readonly value: number;
  /** `BadNodeIdUnknown`. */
  readonly name: string;
}

/** The two highest bits are the severity: 00 good, 01 uncertain, 10 bad. 11 is of no use, so bad. */
export function isBad(status: Status): boolean {
  return status.value >>> 31 === 1;
}

/** Why a value is not good; undefined when it is. */
export function flawOf(status: Status): Flaw | undefined {
  const severity = status.value >>> 30;
  if (severity === 0) return undefined;
  return { quality: severity === 1 ? 'uncertain' : 'bad', reason: wordsOf(status) };
}

/** `node id unknown (BadNodeIdUnknown)`. */
export function wordsOf(status: Status): string {
  const plain = nameOf(status);
  const code = plain === '' ? `0x${(status.value >>> 0).toString(16).toUpperCase().padStart(8, '0')}` : plain;
  const words = plain
    .replace(/^(Good|Uncertain|Bad)/, '')
    .replace(/([a-z0-9])([A-Z])/g, '$1 $2')
    .toLowerCase();
  return words === '' ? code : `${words} (${code})`;
}

/** `BadNodeIdUnknown`, without what the lower bits add; empty when nobody knows it. */
export function nameOf({ name }: Status): string {
  return name.split(/[#;]/)[0] ?? '';
}

/** Whether values were lost between this one and the one before, since the item's queue was full (OPC UA Part 4 §7.39.1). */
export function isOverflow({ value }: Status): boolean {
  return (value & 0xc80) === 0x480;
}

/** The node is not there, or not any more. */
export function isGone(status: Status): boolean {
  return /^BadNodeId(Unknown|Invalid)$/.test(nameOf(status));
}

/** The server is there, but has no way to the device behind it. */
const SILENCE = new Set([
  'BadNoCommunication',
  'BadNotConnected',
  'BadDeviceFailure',
  'BadServerNotConnected',
  'BadCommunicationError',
  'BadTimeout',
  'BadWaitingForInitialData',
]);

/** Whether a status says that the device behind the server gave no answer. */
export function isSilence(status: Status): boolean {
  return SILENCE.has(nameOf(status));
}
