/** "Did you mean": the known word that a mistyped one was meant to be. */

/** The nearest of the known words, or undefined when none is near enough. */
export function suggest(word: string, known: Iterable<string>): string | undefined {
  const low = word.toLowerCase();
  if (low.length < 2) return undefined;
  let best: string | undefined;
  // A third of the letters may be wrong: more than that is another word.
  let least = Math.max(1, Math.floor(low.length / 3)) + 1;
  for (const candidate of known) {
    const steps = distance(low, candidate.toLowerCase(), least);
    if (steps < least) [best, least] = [candidate, steps];
  }
  if (best !== undefined) return best;
  // Part of a longer name (`sdm630` for `eastron/sdm630`), or a shorter form (`warn` for `warning`).
  const akin = [...known].filter((candidate) => {
    const name = candidate.toLowerCase();
    return (low.length >= 3 && name.includes(low)) || (name.length >= 3 && low.startsWith(name));
  });
  return akin.length === 1 ? akin[0] : undefined;
}

/** `did you mean "x"?`, or else the list of what is known when it is short, or undefined. */
export function hintFor(word: string, known: Iterable<string>): string | undefined {
  const names = [...known];
  const near = suggest(word, names);
  if (near !== undefined) return `did you mean "${near}"?`;
  if (names.length === 0 || names.length > 12) return undefined;
  return `known here: ${names.join(', ')}`;
}

/** Single letters to insert, delete, replace or swap with their neighbour (optimal string alignment). */
function distance(a: string, b: string, most: number): number {
  if (Math.abs(a.length - b.length) >= most) return most;
  let older: number[] = [];
  let old = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1] ? 0 : 1;
      let steps = Math.min((old[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, (old[j - 1] ?? 0) + same);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        steps = Math.min(steps, (older[j - 2] ?? 0) + 1);
      row.push(steps);
    }
    [older, old] = [old, row];
  }
  return old[b.length] ?? most;
}
