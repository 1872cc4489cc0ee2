/** Finds what the command line names. */
import { hintFor } from '../config/suggest.js';
import { TidegateError } from '../errors.js';

/**
 * The item of that id.
 * @throws TidegateError USAGE that says which there are
 */
export function find<Item extends { readonly id: string }>(items: readonly Item[], id: string, what: string): Item {
  const item = items.find((candidate) => candidate.id === id);
  if (item !== undefined) return item;
  const ids = items.map((candidate) => candidate.id);
  const hint = hintFor(id, ids) ?? (ids.length > 0 ? `There is: ${ids.join(', ')}` : `There is no ${what} at all.`);
  throw new TidegateError('USAGE', `no ${what} is called "${id}"`, { hint });
}
