/** What the simulator does wrong on request, with its answers as they leave. */
import type { ServerSecureChannelLayer } from 'node-opcua-client';
import type { OPCUAServer } from 'node-opcua-server';
import type { Fault } from '../../src/driver.js';

/** Answers that bring something of the devices. Channels and sessions are opened as always: who cannot connect meets no other fault. */
const FAULTY = ['ReadResponse', 'WriteResponse', 'PublishResponse', 'BrowseResponse', 'CreateMonitoredItemsResponse'];
/** Where a chunk tells whether another follows, and where what it carries begins (OPC UA Part 6 §7.1.2.2). */
const IS_FINAL = 3;
const HEADER = 8;

/** Asks `faults` before each answer of this server. Exceptions are no business of answers here: values have them as their status. */
export function makeFaulty(server: OPCUAServer, faults: () => Fault): void {
  server.on('newChannel', (channel: ServerSecureChannelLayer) => {
    const send = channel.send_response.bind(channel);
    channel.send_response = (type, response, message, done) => {
      if (!FAULTY.includes(response.schema.name)) {
        send(type, response, message, done);
        return;
      }
      const { kind, delay } = faults();
      const answer = (): void => {
        if (channel.aborted || kind === 'timeout') {
          done?.();
          return;
        }
        const change = kind === 'garbage' ? garble : kind === 'drop' ? halve : asItIs;
        writing(channel, change, () => send(type, response, message, done));
        if (kind === 'drop') channel.abruptlyInterrupt();
      };
      if (delay) setTimeout(answer, delay).unref();
      else answer();
    };
  });
}

/** Has each chunk that the work writes changed on its way. */
function writing(channel: ServerSecureChannelLayer, change: (chunk: Buffer) => void, work: () => void): void {
  const write = channel.write.bind(channel);
  channel.write = (chunk) => {
    change(chunk);
    write(chunk);
  };
  work();
  channel.write = write;
}

function asItIs(): void {}

/** Nothing in it can be understood. */
function garble(chunk: Buffer): void {
  for (let at = HEADER; at < chunk.length; at += 1) chunk[at] = ~(chunk[at] as number);
}

/** More is said to follow. */
function halve(chunk: Buffer): void {
  chunk[IS_FINAL] = 'C'.charCodeAt(0);
}
