/** Files that were cut, mixed up or scribbled in: always problems with places or a config, never a crash. */
import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { drivers } from '../../drivers/index.js';
import { formatProblem } from '../../src/config/format.js';
import { ProblemList, TidegateError } from '../../src/errors.js';
import { loadSite } from '../../src/site.js';
import { random } from '../support/random.js';

/** More by `TIDEGATE_FUZZ_ROUNDS`. */
const ROUNDS = Number(process.env.TIDEGATE_FUZZ_ROUNDS ?? 200);
const GATEWAY = readFileSync('gateway.example.yaml', 'utf8')
  .replace(/^ *#.*\n/gm, '')
  .replace(/\$\{env:\w+\}/, 'sesame')
  .replace(/eastron\/sdm630|eastron\/sdm120|lg\/therma-v/g, 'acme/meter');
const PROFILE = readFileSync('device-profiles/schneider/iem3000.yaml', 'utf8').replace(
  'schneider/iem3000',
  'acme/meter',
);
const SCRAPS = [
  '\t',
  '"',
  '{',
  '}',
  '[',
  ']',
  ': ',
  '- ',
  '#',
  '&a ',
  '*a',
  '!!int ',
  '|',
  '>',
  '%',
  '@',
  '\0',
  'é',
  '\u2028',
  '0x',
  '-1',
  '1e999',
  'null',
  '~',
  '{n}',
  '\n',
  '   ',
  '__proto__: 1\n',
  '<<: 1\n',
  '---\n',
  '? ',
];

test(`${ROUNDS} spoilt files`, { timeout: 60_000 + ROUNDS * 100 }, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'tidegate-fuzz-'));
  mkdirSync(join(folder, 'device-profiles/acme'), { recursive: true });
  const next = random(20_260_101);
  const below = (most: number) => Math.floor(next() * most);
  const spoil = (text: string): string => {
    const at = below(text.length);
    const lines = text.split('\n');
    switch (below(5)) {
      case 0:
        return text.slice(0, at);
      case 1:
        return text.slice(0, at) + text.slice(at + 1 + below(12));
      case 2:
        return text.slice(0, at) + SCRAPS[below(SCRAPS.length)] + text.slice(at);
      case 3:
        return lines.toSpliced(below(lines.length), 1).join('\n');
      default:
        return lines.toSpliced(below(lines.length), 0, lines[below(lines.length)] ?? '').join('\n');
    }
  };
  let refused = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const gateway = round % 2 ? GATEWAY : spoil(spoil(GATEWAY));
    const profile = round % 2 ? spoil(spoil(PROFILE)) : PROFILE;
    writeFileSync(join(folder, 'gateway.yaml'), gateway);
    writeFileSync(join(folder, 'device-profiles/acme/meter.yaml'), profile);
    const outcome = await loadSite(join(folder, 'gateway.yaml'), { drivers, thorough: true }).catch(
      (cause: unknown) => cause,
    );
    if (!(outcome instanceof Error)) continue;
    refused++;
    expect(outcome, `round ${round}: ${outcome.stack}`).toBeInstanceOf(ProblemList);
    for (const problem of (outcome as ProblemList).errors) {
      expect(problem).toBeInstanceOf(TidegateError);
      expect(formatProblem(problem), `round ${round}`).toMatch(/\[[A-Z_]+\]$/);
      expect(problem.message, `round ${round}`).not.toMatch(/undefined|\[object|Invalid input|^Too /);
    }
  }
  expect(refused).toBeGreaterThan(ROUNDS / 2);
});
