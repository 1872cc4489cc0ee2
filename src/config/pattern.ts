/** Patterns of names: `*` stands for any characters (`/` too), `?` for one. */

/** True when a pattern has no wildcard: it is a name. */
export function isName(pattern: string): boolean {
  return !/[*?]/.test(pattern);
}

/** Tells whether a name fits one of the patterns. No patterns at all: every name fits. */
export function compilePatterns(patterns: readonly string[] | undefined): (name: string) => boolean {
  if (patterns === undefined) return () => true;
  const names = new Set(patterns.filter(isName));
  const globs = patterns.filter((pattern) => !isName(pattern));
  if (globs.length === 0) return (name) => names.has(name);
  return (name) => names.has(name) || globs.some((glob) => matchesGlob(glob, name));
}

/** Greedy, and only the last star is ever tried again: no pattern is slow, as some are in a regular expression. */
function matchesGlob(glob: string, name: string): boolean {
  let at = 0;
  let star = -1;
  let resume = 0;
  let index = 0;
  while (index < name.length) {
    if (glob[at] === '*') {
      star = at++;
      resume = index;
    } else if (at < glob.length && (glob[at] === '?' || glob[at] === name[index])) {
      at++;
      index++;
    } else if (star >= 0) {
      at = star + 1;
      index = ++resume;
    } else return false;
  }
  while (glob[at] === '*') at++;
  return at === glob.length;
}
