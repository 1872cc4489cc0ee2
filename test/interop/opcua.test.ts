/**
 * An OPC UA server in a process of its own that lets in nobody whom it does not know: from the first knock to values, through a restart and
 * a renewed certificate, by the commands that docs/opcua.md names.
 */
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { makePem } from '../support/opcua-identity.js';
import { type Peer, type PemIdentity, type Plant, PRESS, startPeer } from '../support/opcua-peer.js';
import { startTidegate, tidegate, writeSite } from './gateway.js';
import type { Program } from './programs.js';

const SIGN_AND_ENCRYPT = 3;
const PROFILE = `profile: acme/press
title: Press
driver: opcua
points:
  temp: { node: "nsu=${PRESS};s=Temp", type: float64 }
  phase: { path: "/Objects/nsu=${PRESS};Press/nsu=${PRESS};Phase", type: int32, states: { 0: stopped, 1: running } }
  axis: { node: "nsu=${PRESS};s=Axis", type: json }
  name: { node: "nsu=${PRESS};s=Name", type: string, mode: poll }
  gone: { node: "nsu=${PRESS};s=Nowhere", type: float64 }
`;

let identity: PemIdentity;
let peer: Peer;
let plant: Omit<Plant, 'identity'>;
let folder: string;
let file: string;
let gateway: Program;
let watch: Program;
beforeAll(async () => {
  identity = await makePem();
  plant = {
    // What it calls itself nobody can look up: the address that people wrote is what counts.
    hostname: 'plc-7.factory.invalid',
    policies: ['http://opcfoundation.org/UA/SecurityPolicy#Basic256Sha256'],
    modes: [SIGN_AND_ENCRYPT],
    users: { gateway: 'open sesame' },
    accepts: [],
  };
  peer = await startPeer({ ...plant, identity });
  folder = writeSite({
    'gateway.yaml': `gateway: plant-7
connections:
  line: { driver: opcua, endpoint: "${peer.endpoint}", username: gateway, password: open sesame, publishing: 50ms, keep_alive: 500ms }
devices: { press: { profile: acme/press, connection: line } }
upstreams: {}
`,
    'device-profiles/acme/press.yaml': PROFILE,
  });
  file = `${folder}/gateway.yaml`;
  gateway = startTidegate(['run', file]);
  await gateway.line((line) => line.includes('gateway started'));
  watch = startTidegate(['watch', '--json', '--config', file]);
});
afterAll(async () => {
  await watch?.stop();
  await gateway?.stop();
  await peer?.kill();
});

const trust = (...words: string[]) => tidegate('trust', ...words, '--config', file);
const sees = (text: string | RegExp) => {
  const from = watch.lines.length;
  return watch.line((line) => (typeof text === 'string' ? line.includes(text) : text.test(line)), from);
};
const counted = () => peer.tell({ what: 'count' });

test('both sides learn to trust each other, and values flow', async () => {
  await sees('"reason":"waiting for trust');
  expect(trust('approve', 'line').stdout).toMatch(/^trusted: Press 7 \(Acme\)/);
  await sees('the server does not trust our certificate');
  const own = `${folder}/own.der`;
  expect(trust('export', own).code).toBe(0);
  const { fingerprint256 } = new X509Certificate(readFileSync(own));
  await peer.tell({ what: 'accept', fingerprints: [fingerprint256] });
  const line = await sees('"id":"temp","value":21.5,"quality":"good"');
  for (const told of ['"value":"running"', '"Position":1.25', '"value":"Press 7"']) expect(line).toContain(told);
  expect(line).toContain('1 point bad: gone (node id unknown (BadNodeIdUnknown))');
  plant = { ...plant, accepts: [fingerprint256] };
}, 120_000);

test('what changes is told; browsing goes by way of the same session', async () => {
  const seen = sees('"id":"temp","value":35.25');
  await peer.tell({ what: 'set', node: 'Temp', value: 35.25 });
  await seen;
  const place = `/Objects/nsu=${PRESS};Press`;
  const { stdout } = tidegate('browse', 'line', place, '--match', 'Phase', '--json', '--config', file);
  expect(JSON.parse(stdout)).toMatchObject({ name: 'Phase', value: 'Running' });
  expect(await counted()).toEqual({ sessions: 1, subscriptions: 1 });
}, 60_000);

test('after a restart it is back by itself, with one session and one subscription', async () => {
  const { port } = peer;
  await peer.kill();
  await sees('"state":"offline"');
  peer = await startPeer({ ...plant, identity, port });
  await sees('"id":"temp","value":21.5,"quality":"good"');
  expect(await counted()).toEqual({ sessions: 1, subscriptions: 1 });
}, 120_000);

test('a certificate that the server renewed waits for trust, and is approved by its fingerprint', async () => {
  const { port } = peer;
  await peer.kill();
  const renewed = await makePem({ name: 'Press 7 renewed' });
  peer = await startPeer({ ...plant, identity: renewed, port });
  await sees('waiting for trust: the certificate of Press 7 renewed');
  const { fingerprint256 } = new X509Certificate(renewed.certificate);
  expect(trust('approve', fingerprint256.slice(0, 23)).code).toBe(0);
  await sees('"id":"temp","value":21.5,"quality":"good"');
}, 120_000);
