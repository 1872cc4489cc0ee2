/** The checksums of serial lines. */

/** CRC-16 of polynomial 0xA001 for each value of the low byte (Modbus over Serial Line V1.02, appendix B). */
const TABLE = Uint16Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit += 1) crc = crc & 1 ? (crc >> 1) ^ 0xa001 : crc >> 1;
  return crc;
});

/** The CRC of an RTU frame, from `from` to before `to`; it follows the frame low byte first (V1.02 §2.5.1.2). */
export function crc16(bytes: Uint8Array, from: number, to: number): number {
  let crc = 0xffff;
  for (let at = from; at < to; at += 1) crc = (crc >> 8) ^ (TABLE[(crc ^ (bytes[at] as number)) & 0xff] as number);
  return crc;
}

/** The longitudinal redundancy check of an ASCII frame: the negated sum of its bytes (V1.02 §2.5.2.2). */
export function lrc(bytes: Uint8Array): number {
  let sum = 0;
  for (const byte of bytes) sum += byte;
  return -sum & 0xff;
}
