/** Unsigned integers in the order of bytes and registers that a device has: what all types are made of. */
import type { Order } from './schema.js';

/** Whether the two bytes of each register arrive low byte first. */
export const isByteSwapped = (order: Order): boolean => order.startsWith('B') || order.endsWith('A');

/** Whether the registers of a number arrive least significant first. */
const isWordReversed = (order: Order): boolean => !order.startsWith('A') && !order.startsWith('B');

/** Where the byte of the given significance (0 the highest) lies in a value of `width` bytes. */
function place(order: Order, width: number, significance: number): number {
  const word = significance >> 1;
  const byte = significance & 1;
  return 2 * (isWordReversed(order) ? width / 2 - 1 - word : word) + (isByteSwapped(order) ? 1 - byte : byte);
}

/** An unsigned integer of 16 or 32 bits in some order. */
export interface Unsigned {
  readonly span: number;
  read(data: Uint8Array, at: number): number;
  write(value: number, data: Uint8Array, at: number): void;
}

/** One register. */
export function unsigned16(order: Order): Unsigned {
  const high = place(order, 2, 0);
  const low = place(order, 2, 1);
  return {
    span: 1,
    read: (data, at) => ((data[at + high] as number) << 8) | (data[at + low] as number),
    write(value, data, at) {
      data[at + high] = value >>> 8;
      data[at + low] = value;
    },
  };
}

/** 32 bits; within a 64-bit value, its half that begins at the given significance. */
export function unsigned32(order: Order, width = 4, from = 0): Unsigned {
  const a = place(order, width, from);
  const b = place(order, width, from + 1);
  const c = place(order, width, from + 2);
  const d = place(order, width, from + 3);
  return {
    span: 2,
    read: (data, at) =>
      (((data[at + a] as number) << 24) |
        ((data[at + b] as number) << 16) |
        ((data[at + c] as number) << 8) |
        (data[at + d] as number)) >>>
      0,
    write(value, data, at) {
      data[at + a] = value >>> 24;
      data[at + b] = value >>> 16;
      data[at + c] = value >>> 8;
      data[at + d] = value;
    },
  };
}
