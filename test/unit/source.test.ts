import { describe, expect, test } from 'vitest';
import { type Path, Source } from '../../src/config/source.js';

const text = `# a gateway
gateway: plant-7
connections:
  plc: { driver: modbus, tcp: "10.0.0.5:502" }   # the hall
devices:
  0x10: { unit: 007, list: [1, { deep: x }] }
  empty:
long: |
  first
  second
anchored: &a { b: 1 }
again: *a
`;
const source = new Source('gateway.yaml', text);

/** What is marked, as line:column and the marked text. */
function marked(path: Path, key = false): string {
  const { line, column, length, text: whole } = source.place(path, key);
  return `${line}:${column} ${whole.slice(column - 1, column - 1 + length)}`;
}

describe('places', () => {
  test.each<[Path, boolean, string]>([
    [['gateway'], false, '2:10 plant-7'],
    [['gateway'], true, '2:1 gateway'],
    [['connections', 'plc', 'tcp'], false, '4:31 "10.0.0.5:502"'],
    [['connections', 'plc', 'tcp'], true, '4:26 tcp'],
    [['devices', '16', 'unit'], false, '6:17 007'],
    [['devices', '16', 'list', 1, 'deep'], false, '6:40 x'],
    // What holds several lines, or nothing, is shown by its key.
    [['devices'], false, '5:1 devices'],
    [['devices', 'empty'], false, '7:3 empty'],
    [['long'], false, '8:1 long'],
    // What is not there is shown by the nearest key above.
    [['connections', 'plc', 'timeout'], false, '4:3 plc'],
    [['connections', 'other', 'tcp'], false, '3:1 connections'],
    [['nowhere'], false, '2:1 gateway'],
    // Through an alias, to what it stands for.
    [['again', 'b'], false, '11:19 1'],
  ])('%j key=%s', (path, key, expected) => {
    expect(marked(path, key).slice(0, expected.length)).toBe(expected);
  });

  test('end with the line, and count from 1', () => {
    const { length, text: whole, column } = source.place([]);
    expect(column + length - 1).toBeLessThanOrEqual(whole.length);
  });

  test('line ends of Windows and a byte order mark do not shift them', () => {
    const windows = new Source('x.yaml', 'a: 1\r\nb: two\r\n');
    expect(windows.place(['b'])).toMatchObject({ line: 2, column: 4, text: 'b: two', length: 3 });
  });
});

describe('values', () => {
  test('are plain, numbers as keys decimal or as written', () => {
    expect(source.value).toEqual({
      gateway: 'plant-7',
      connections: { plc: { driver: 'modbus', tcp: '10.0.0.5:502' } },
      devices: { 16: { unit: 7, list: [1, { deep: 'x' }] }, empty: null },
      long: 'first\nsecond\n',
      anchored: { b: 1 },
      again: { b: 1 },
    });
    expect(new Source('x', '007: a\n1.0: b\nyes: c\n~: d\n0xFF: e').value).toEqual({
      '007': 'a',
      '1.0': 'b',
      yes: 'c',
      '~': 'd',
      255: 'e',
    });
  });

  test('keep every digit', () => {
    expect(new Source('x', '[9007199254740991, 9007199254740993, 0xFFFFFFFFFFFFFFFF, -3, 1.5, 0x10]').value).toEqual([
      9007199254740991,
      9007199254740993n,
      18446744073709551615n,
      -3,
      1.5,
      16,
    ]);
  });

  test('know how a scalar was written', () => {
    expect(source.written(['devices', '16', 'unit'])).toBe('007');
    expect(source.written(['devices'])).toBeUndefined();
    expect(source.written(['nowhere'])).toBeUndefined();
  });

  test('follow YAML 1.2: yes, no, on and off are text', () => {
    expect(new Source('x', '[yes, no, on, off, true]').value).toEqual(['yes', 'no', 'on', 'off', true]);
  });

  test('cannot reach what is not theirs', () => {
    const value = new Source('x', '__proto__: { polluted: 1 }').value as Record<string, unknown>;
    expect(Object.keys(value)).toEqual(['__proto__']);
    expect((value as { polluted?: number }).polluted).toBeUndefined();
  });
});

describe('hostile files end quickly', () => {
  test.each([
    ['brackets', '['.repeat(100_000)],
    ['braces', 'a: {'.repeat(50_000)],
    ['dashes', '- '.repeat(50_000)],
    ['deep blocks', Array.from({ length: 500 }, (_, i) => `${' '.repeat(i)}k:`).join('\n')],
    ['an alias of itself', 'a: &a [*a]'],
    [
      'aliases of aliases',
      `a0: &a0 [x]\n${Array.from({ length: 40 }, (_, i) => `a${i + 1}: &a${i + 1} [*a${i}, *a${i}]`).join('\n')}`,
    ],
  ])('%s', (_, hostile) => {
    const { errors, value } = new Source('x', hostile);
    expect(errors.map(({ code }) => code)).toContain('CONFIG_SYNTAX');
    expect(value).toBeUndefined();
  });
});
