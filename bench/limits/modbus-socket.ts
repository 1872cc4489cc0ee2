/** The limit of the field side: the same Modbus requests from a bare socket. */
import { answer } from '../peer.js';
import { type WireLoad, Wires } from './wire.js';

let values = 0;
let wires: Wires | undefined;

answer({
  open: (load: WireLoad) => {
    wires = new Wires(load, (registers, wire) => {
      values += registers.length;
      if (wires?.every === 0) wire.ask(1);
    });
  },
  pace: (every: number) => wires?.pace(every),
  /** Registers brought home so far. */
  count: () => values,
});
