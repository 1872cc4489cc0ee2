/** modbus-serial declares no types for its ports. This is what `wire.ts` uses, two private members included; its tests notice when they change. */
declare module 'modbus-serial/ports/tcpport.js' {
  import type { EventEmitter } from 'node:events';
  import type { Socket } from 'node:net';

  export default class TcpPort extends EventEmitter {
    constructor(options: { socket: Socket });
    /** Sends unit id, function and data; the last two bytes stand for a checksum and are cut off. */
    write(frame: Buffer): void;
    /** Transaction id of the next `write`. */
    _transactionIdWrite: number;
    /** What has come in, from the header of the frame that is being emitted or is not complete yet. */
    readonly _clientRcvData: Buffer;
  }
}
