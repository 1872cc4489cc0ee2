/** Two gateways with one client id at mosquitto: each takes the other's session over, and both operators are told why. */
import { afterEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { event, openTestUpstream, temporaryFolder } from '../support/upstream.js';
import { type Broker, MOSQUITTO, startBroker } from './mosquitto.js';
import { missing } from './programs.js';

const why = missing(...MOSQUITTO);

describe.skipIf(why)(`two gateways with one client id${why ? `: ${why}` : ''}`, () => {
  let broker: Broker;
  afterEach(() => broker.stop());

  // mosquitto 2.0.11 closes without the DISCONNECT that MQTT 5 has for it: the words have to do for that, too.
  test.each(['5', '3.1.1'])('MQTT %s: that is told, and nothing is lost', async (version) => {
    broker = await startBroker();
    const url = `mqtt://127.0.0.1:${broker.port}`;
    const reasons: (string | undefined)[] = [];
    const open = async () => {
      const upstream = await openTestUpstream(url, temporaryFolder(), { version, client_id: 'twin' });
      onTestFinished(() => upstream.close());
      return upstream;
    };
    const [first, second] = [await open(), await open()];
    for (let n = 1; n <= 20; n++) for (const each of [first, second]) each.accept(event(n));
    await vi.waitFor(() => {
      reasons.push(first.status().reason, second.status().reason);
      expect(reasons).toContainEqual(expect.stringMatching(/perhaps another client uses the client id twin/));
    }, 20_000);
    for (const each of [first, second])
      await vi.waitFor(() => expect(each.status()).toMatchObject({ acknowledged: 20, rejected: 0 }), 20_000);
  });
});
