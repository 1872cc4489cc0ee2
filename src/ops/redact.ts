/** Keeps secrets out of the log, wherever in a line they turn up. */

const MASK = '***';

/**
 * Gives a function that replaces every secret in a JSON line by `***`: inside any text of it, also percent-encoded as in a
 * URL. The line stays valid JSON, and lines without a secret are returned as they are.
 */
export function compileRedactor(secrets: readonly string[]): (line: string) => string {
  const forms = new Set<string>();
  for (const secret of secrets) {
    if (secret.length === 0) continue;
    forms.add(secret);
    forms.add(encodeURIComponent(secret));
  }
  // The longest first: a secret may hold another.
  const texts = [...forms].sort((a, b) => b.length - a.length);
  if (texts.length === 0) return (line) => line;
  const escaped = texts.map((text) => JSON.stringify(text).slice(1, -1));
  const mask = (text: string) => texts.reduce((kept, secret) => kept.replaceAll(secret, MASK), text);
  return (line) => {
    if (!escaped.some((text) => line.includes(text))) return line;
    return `${JSON.stringify(maskValue(JSON.parse(line), mask))}\n`;
  };
}

function maskValue(value: unknown, mask: (text: string) => string): unknown {
  if (typeof value === 'string') return mask(value);
  if (Array.isArray(value)) return value.map((item) => maskValue(item, mask));
  if (typeof value !== 'object' || value === null) return value;
  // `time` and `level` are the log's own words: a short secret must not hide them.
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [key, OWN.has(key) ? item : maskValue(item, mask)]),
  );
}

const OWN = new Set(['time', 'level']);
