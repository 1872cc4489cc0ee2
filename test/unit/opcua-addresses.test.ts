/** Node ids, browse paths and keys as people write them. */
import { describe, expect, test } from 'vitest';
import { escapedUri, numbered, parseBrowsePath, parseNodeId, writeName } from '../../drivers/opcua/address.js';
import { opcua } from '../../drivers/opcua/index.js';
import type { OpcuaAddress } from '../../drivers/opcua/schema.js';
import type { Point } from '../../src/model.js';
import { pointOf } from '../support/opcua-points.js';

describe('node ids', () => {
  test.each([
    ['i=2258', { namespace: 0, kind: 'i', value: '2258' }],
    ['ns=2;s=A;b=c', { namespace: 2, kind: 's', value: 'A;b=c' }],
    ['nsu=http://acme.com/UA/;s=Press.Temp', { namespace: 'http://acme.com/UA/', kind: 's', value: 'Press.Temp' }],
    ['nsu=urn:a%3Bb%25;i=1', { namespace: 'urn:a;b%', kind: 'i', value: '1' }],
    [
      'ns=1;g=72962B91-FA75-4AE6-8D28-B404DC7DAF63',
      { namespace: 1, kind: 'g', value: '72962B91-FA75-4AE6-8D28-B404DC7DAF63' },
    ],
    ['ns=1;b=M/RbKBsRVkePCePcx24oRA==', { namespace: 1, kind: 'b', value: 'M/RbKBsRVkePCePcx24oRA==' }],
  ])('%s', (text, parsed) => {
    expect(parseNodeId(text)).toEqual(parsed);
  });

  test.each(['', 'Temp', 's=', 'i=-1', 'i=4294967296', 'g=1', 'b=?', 'ns=x;i=1', 'ns=65536;i=1', 'nsu=;i=1'])(
    '"%s" is none',
    (text) => {
      expect(typeof parseNodeId(text)).toBe('string');
    },
  );

  test('a URI survives being written', () => {
    expect(parseNodeId(`nsu=${escapedUri('urn:a;b%3B')};i=1`)).toMatchObject({ namespace: 'urn:a;b%3B' });
  });
});

describe('browse paths', () => {
  test.each([
    ['/Objects', true, [[0, 'Objects']]],
    [
      '/Objects/nsu=http://acme.com/UA/;Press/2:Temp',
      true,
      [
        [0, 'Objects'],
        ['http://acme.com/UA/', 'Press'],
        [2, 'Temp'],
      ],
    ],
    ['nsu=urn:x;Temp', false, [['urn:x', 'Temp']]],
    [
      '/a&/b/c&&d',
      true,
      [
        [0, 'a/b'],
        [0, 'c&d'],
      ],
    ],
  ])('%s', (text, absolute, names) => {
    const all = (names as [string | number, string][]).map(([namespace, name]) => ({ namespace, name }));
    expect(parseBrowsePath(text as string)).toEqual({ absolute, names: all });
  });

  test.each(['', '/', '/a//b', 'nsu=urn:x;', '/a/', 'a&', '/65536:a'])('"%s" is none', (text) => {
    expect(typeof parseBrowsePath(text)).toBe('string');
  });

  test.each(['Temp', '7:Temp', 'a/b&c', 'nsu=x;y'])('a name "%s" is found again as it is written', (name) => {
    for (const uri of [undefined, 'http://acme.com/UA/;x'])
      expect(parseBrowsePath(`/${writeName(name, uri)}`)).toEqual({
        absolute: true,
        names: [{ namespace: uri ?? 0, name }],
      });
  });
});

test('namespaces by number are told of, but for those that never change', () => {
  expect(numbered({ node: 'ns=2;s=a' })).toBe(true);
  expect(numbered({ path: '/Objects/3:a' })).toBe(true);
  for (const node of ['i=1', 'ns=1;s=a', 'nsu=urn:x;s=a']) expect(numbered({ node })).toBe(false);
  const point = { ...pointOf('bool', 'A'), address: { ...pointOf('bool', 'A').address, node: 'ns=4;s=A' } };
  expect(opcua.advisePoint?.(point)?.hint).toMatch(/nsu=/);
});

describe('points that cannot be', () => {
  const cases: [string, Point<OpcuaAddress>, RegExp][] = [
    ['a queue of what is polled', pointOf('bool', 'A', { mode: 'poll', queue: 5 }), /belong to a subscription/],
    ['a deadband of a text', pointOf('string', 'A', { server_deadband: 1 }), /a string has no server_deadband/],
    ['a range that is no single value', pointOf('int16', 'A', { range: '0:3' }), /type: json, or one index/],
    [
      'sampling of what is only written',
      pointOf('int16', 'A', { access: 'write', sampling: '1s' } as never),
      /not sampled/,
    ],
  ];
  test.each(cases)('%s', (_, point, why) => {
    expect(opcua.checkPoint(point)).toMatch(why);
  });
});

describe('connections', () => {
  const endpoint = 'opc.tcp://10.0.0.9:4840';

  test('are encrypted unless something else is written', () => {
    expect(opcua.connection.parse({ endpoint })).toMatchObject({ security: 'Basic256Sha256', accept_expired: false });
  });

  test.each([
    [{ endpoint: 'http://10.0.0.9' }, /opc\.tcp:\/\/host:port/],
    [{ endpoint: 'opc.tcp://user@host:1' }, /opc\.tcp:\/\/host:port/],
    [{ endpoint, security: 'None', mode: 'Sign' }, /neither signs nor encrypts/],
    [{ endpoint, password: 'x' }, /needs a username/],
    [{ endpoint, certificate: 'x' }, /both certificate and key/],
    [{ endpoint, username: 'u', certificate: 'x', key: 'y' }, /not both/],
    [{ endpoint, security: 'Basic128Rsa15' }, /Invalid option/],
  ])('%j is refused', (written, why) => {
    expect(String(opcua.connection.safeParse(written).error)).toMatch(why);
  });
});
