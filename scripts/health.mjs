// The container's health check: a gateway that is well answers on its control socket at once.
import { connect } from 'node:net';

const socket = connect(process.argv[2] ?? '/var/lib/tidegate/control.sock');
socket.setTimeout(4_000, () => fail('no answer'));
socket.on('error', (error) => fail(error.message));
socket.on('end', () => fail('no answer'));
socket.once('data', () => process.exit(0));

function fail(reason) {
  process.stderr.write(`${reason}\n`);
  process.exit(1);
}
