/** Whether a point can live at its address. */
import type { Point } from '../../src/model.js';
import { sizeOf } from './bytes.js';
import type { MqttAddress } from './schema.js';
import { PLACE } from './topic.js';

/** What is wrong with a point, in words for people, or undefined. */
export function checkPoint({ type, access, address }: Point<MqttAddress>): string | undefined {
  const { binary, pointer, words, timestamp, optional, command } = address;
  if (access === 'read' && command)
    return 'a point that is only read has no command: write access: read-write, or remove it';
  if (access !== 'read' && !command) return 'a point that is written needs a command: { topic, payload }';
  if (words && type !== 'bool' && !/^u?int/.test(type))
    return `a ${type} has no words: they stand for true and false, or for whole numbers`;
  if (words && type === 'bool' && Object.values(words).some((raw) => typeof raw === 'number' && raw !== 0 && raw !== 1))
    return 'words of a bool are true or false';
  if (optional && pointer === undefined) return 'optional needs a pointer: a payload that is the value always has it';
  if (binary) return checkBinary(type, address);
  if (timestamp !== undefined && pointer === undefined && type !== 'json')
    return 'timestamp needs JSON: write a pointer to the value too';
  return undefined;
}

function checkBinary(
  type: Point['type'],
  { binary = { at: 0, order: 'ABCD' }, pointer, words, timestamp }: MqttAddress,
) {
  if (pointer !== undefined || timestamp !== undefined || words)
    return 'bytes have no pointer, timestamp or words: remove them, or binary';
  if (type === 'string' && binary.length === undefined) return 'a text of bytes needs a length';
  if (type !== 'string' && binary.length !== undefined) return `a ${type} has its own length: remove length`;
  return sizeOf(type, binary) === undefined ? `a ${type} cannot be binary` : undefined;
}

/** What works today and may not tomorrow, or undefined. */
export function advisePoint({ address }: Point<MqttAddress>): { message: string; hint: string } | undefined {
  if (address.topic.includes(PLACE)) return undefined;
  return {
    message: 'its topic is the same for every device of this profile',
    hint: `write ${PLACE} where the device's own topic stands`,
  };
}
