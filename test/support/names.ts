/** Names that the resolver of this process knows, or does not: in the hands of a test. */
import dns, { type LookupAddress, type LookupAllOptions } from 'node:dns';
import { onTestFinished, vi } from 'vitest';

type Answer = (error: NodeJS.ErrnoException | null, address?: string | LookupAddress[], family?: number) => void;

/**
 * Answers every look-up until the test ends.
 * @param answer an IPv4 address, or the code of an error
 */
export function resolveTo(answer: () => { readonly address: string } | { readonly code: string }): void {
  const lookup = (name: string, options: LookupAllOptions, done: Answer): void => {
    const found = answer();
    if ('code' in found)
      queueMicrotask(() => done(Object.assign(new Error(`getaddrinfo ${found.code} ${name}`), { code: found.code })));
    else if (options.all) queueMicrotask(() => done(null, [{ address: found.address, family: 4 }]));
    else queueMicrotask(() => done(null, found.address, 4));
  };
  const spy = vi.spyOn(dns, 'lookup').mockImplementation(lookup as unknown as typeof dns.lookup);
  onTestFinished(() => spy.mockRestore());
}
