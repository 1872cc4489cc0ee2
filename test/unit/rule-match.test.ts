import { describe, expect, test } from 'vitest';
import { compilePatterns } from '../../src/config/pattern.js';
import { compileDeviceMatch } from '../../src/routing/match.js';
import { renderTopic } from '../../src/routing/topic.js';
import { device } from '../support/plant.js';
import { random } from '../support/random.js';

describe('patterns', () => {
  test.each<[string, string[], string[]]>([
    ['meter-1', ['meter-1'], ['meter-10', 'meter', 'Meter-1']],
    ['meter-*', ['meter-1', 'meter-', 'meter-1-b'], ['meter', 'a-meter-1']],
    ['*', ['', 'anything', 'eastron/sdm630'], []],
    ['eastron/*', ['eastron/sdm630', 'eastron/sdm/120'], ['eastron', 'acme/eastron/x']],
    ['*power*', ['active_power', 'power', 'power_l1'], ['energy']],
    ['voltage_l?', ['voltage_l1'], ['voltage_l', 'voltage_l12']],
    ['a.b', ['a.b'], ['axb']],
    ['a.*', ['a.', 'a.b'], ['ab', 'axb']],
    ['(a|b)*[c]', ['(a|b)x[c]'], ['ac', 'bc']],
    ['^$*', ['^$x'], ['x', '']],
  ])('%s', (pattern, fits, others) => {
    const matches = compilePatterns([pattern]);
    expect(fits.filter((name) => !matches(name))).toEqual([]);
    expect(others.filter((name) => matches(name))).toEqual([]);
  });

  test('a list fits when one of it does; no list fits everything', () => {
    const matches = compilePatterns(['power', 'energy_*', 'volt?']);
    expect(['power', 'energy_import', 'volts', 'current', 'powers'].filter(matches)).toEqual([
      'power',
      'energy_import',
      'volts',
    ]);
    expect(compilePatterns(undefined)('anything')).toBe(true);
  });

  test('agrees with a regular expression, whatever the pattern', () => {
    const next = random(7);
    const word = (letters: string, longest: number) =>
      Array.from(
        { length: Math.floor(next() * (longest + 1)) },
        () => letters[Math.floor(next() * letters.length)],
      ).join('');
    let fitting = 0;
    for (let round = 0; round < 20_000; round++) {
      const glob = word('ab*?*', 7);
      const name = word('ab', 9);
      const expected = new RegExp(`^${glob.replaceAll('*', '.*').replaceAll('?', '.')}$`).test(name);
      expect(compilePatterns([glob])(name), `${glob} ${name}`).toBe(expected);
      if (expected) fitting++;
    }
    expect(fitting).toBeGreaterThan(1000);
  });

  test('many stars do not make it slow', () => {
    // A regular expression that backtracks would not end within the life of the sun.
    expect(compilePatterns([`${'*a'.repeat(30)}*b`])('a'.repeat(64))).toBe(false);
  });

  test('a device must fit every key, and have every tag', () => {
    const meter = device('meter-1', [], { profile: 'eastron/sdm630', tags: { area: 'north', hall: '3' } });
    const fits = (match: Parameters<typeof compileDeviceMatch>[0]) => compileDeviceMatch(match)(meter);
    expect(fits({})).toBe(true);
    expect(fits({ device: ['meter-*'], profile: ['eastron/*'], tags: { area: ['n*', 'south'], hall: ['3'] } })).toBe(
      true,
    );
    expect(fits({ device: ['meter-*'], profile: ['acme/*'] })).toBe(false);
    expect(fits({ tags: { area: ['north'], hall: ['4'] } })).toBe(false);
    expect(fits({ tags: { floor: ['*'] } })).toBe(false);
    expect(fits({ tags: { constructor: ['*'] } })).toBe(false);
  });
});

describe('topics', () => {
  const render = (template: string, tags: Record<string, string> = {}) =>
    renderTopic(template, {
      gateway: 'plant-7',
      upstream: 'cloud',
      device: device('meter-1', [], { profile: 'eastron/sdm630', tags }),
    });

  test('every placeholder, also several times', () => {
    expect(render('{gateway}/{upstream}/{device}/{profile}/{tag.area}/{device}', { area: 'north' })).toBe(
      'plant-7/cloud/meter-1/eastron/sdm630/north/meter-1',
    );
  });

  test.each([
    ['wildcards', 'a+b/#', 'a_b/_'],
    ['control characters', 'a\u0000b\u0007\n', 'a_b__'],
    ['half a surrogate pair', 'a\ud800', 'a_'],
    ['empty levels', '/plant//hall-3/', 'plant/hall-3'],
    ['nothing', '', '_'],
    ['only slashes', '//', '_'],
    ['a placeholder', '{device}', '{device}'],
    ['a replacement pattern', '$&', '$&'],
    ['other letters', 'Halle Süd 3', 'Halle Süd 3'],
  ])('a value with %s', (_, area, level) => {
    expect(render('x/{tag.area}/y', { area })).toBe(`x/${level}/y`);
  });

  test('a tag that the device does not have', () => {
    expect(render('x/{tag.area}/{tag.toString}')).toBe('x/_/_');
  });
});
