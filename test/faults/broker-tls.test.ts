/** A broker whose TLS is not right: nothing is sent, the operator is told what to do, and all arrives once it is mended. */
import { readFileSync } from 'node:fs';
import type { TlsOptions } from 'node:tls';
import { describe, expect, onTestFinished, test } from 'vitest';
import { type Certificates, type KeyPair, makeCertificates } from '../support/certificates.js';
import { ScriptedBroker } from '../support/scripted-broker.js';
import { temporaryFolder } from '../support/upstream.js';
import { BrokerScene } from './broker-scene.js';
import { missing } from './volume.js';

/** What a server is given. */
type Wrong = (certificates: Certificates) => TlsOptions | undefined;

const LOGIN = { username: 'plant', password: 'secret' };
const why = missing('openssl');

describe.skipIf(why)(`a broker with TLS${why ? `: ${why}` : ''}`, () => {
  test.each<[string, Wrong, RegExp]>([
    ['whose certificate has expired', ({ expired }) => pair(expired), /expired; renew the broker's certificate/],
    [
      'whose certificate is for another host',
      ({ elsewhere }) => pair(elsewhere),
      /does not match certificate's altnames.*; write a host in `url:`/,
    ],
    [
      'whose certificate another authority signed',
      ({ stranger }) => pair(stranger),
      /self-signed certificate; set `ca:`/,
    ],
    [
      'that speaks TLS 1.1 only',
      ({ server }) => ({ ...pair(server), minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'ALL:@SECLEVEL=0' }),
      /protocol version.*; the port must speak TLS 1\.2 or newer/s,
    ],
    ['that speaks no TLS at all', () => undefined, /check that the port speaks MQTT with TLS|does not speak TLS/],
  ])('%s is sent nothing, not even the password, until that is mended', async (_, wrong, words) => {
    const certificates = makeCertificates(temporaryFolder());
    const broker = await ScriptedBroker.start({}, { tls: wrong(certificates) });
    onTestFinished(() => broker.stop());
    const url = `mqtts://127.0.0.1:${broker.port}`;
    const scene = await BrokerScene.before([broker], url, { ...LOGIN, ca: certificates.ca });
    scene.accept(30);
    await scene.tells(words);
    expect(broker.connects).toEqual([]);
    broker.stop();
    await scene.brokerReturns({}, pair(certificates.server));
    const { duplicates } = await scene.check('broker with wrong TLS');
    expect(duplicates).toBe(0);
  });

  test('that is called without TLS is named as such, and gets all once it is called right', async () => {
    const certificates = makeCertificates(temporaryFolder());
    const broker = await ScriptedBroker.start({}, { tls: pair(certificates.server) });
    onTestFinished(() => broker.stop());
    const scene = await BrokerScene.before([broker], `mqtt://127.0.0.1:${broker.port}`);
    scene.accept(30);
    await scene.tells(/before it answered; check that the port speaks MQTT; if it wants TLS, write mqtts:/);
    expect(broker.connects).toEqual([]);
    await scene.reopen(`mqtts://127.0.0.1:${broker.port}`, { ca: certificates.ca });
    await scene.check('broker with wrong TLS');
  });
});

function pair({ cert, key }: KeyPair): TlsOptions {
  return { cert: readFileSync(cert), key: readFileSync(key) };
}
