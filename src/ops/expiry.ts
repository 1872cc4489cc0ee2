/** Certificates that end soon: ours, and those that people trusted. */
import type { Driver, KnownCertificate } from '../driver.js';

/** Milliseconds after which is looked again. */
const AGAIN = 60_000;

/** Those of these drivers that end within 30 days, or have ended; `folderOf` names a driver's own folder. */
export async function findExpiring(
  drivers: Iterable<Driver>,
  folderOf: (driver: string) => string,
): Promise<KnownCertificate[]> {
  const lists = [...new Set(drivers)].map(({ name, trust }) => trust?.(folderOf(name)).list() ?? []);
  const known = (await Promise.all(lists)).flat();
  return known.filter(({ state, ends }) => ends !== undefined && (state === 'own' || state === 'trusted'));
}

/** `our own certificate Tidegate plant-7 expires on 2027-03-01, in 12 days` */
export function expiryText({ state, subject, met, ends }: KnownCertificate): string {
  const whose =
    state === 'own' ? `our own certificate ${subject}` : `the certificate of ${[subject, ...met].join(', ')}`;
  return `${whose} ${ends}`;
}

/** Those that end soon, as they were a minute ago. */
export interface Expiry {
  readonly soon: readonly KnownCertificate[];
  stop(): void;
}

/** Looks now and then; a store that cannot be read is told by whoever needs it, and shows nothing here. */
export function watchExpiry(find: () => Promise<readonly KnownCertificate[]>): Expiry {
  let soon: readonly KnownCertificate[] = [];
  const look = async (): Promise<void> => {
    soon = await find().catch(() => []);
  };
  void look();
  const timer = setInterval(look, AGAIN).unref();
  return {
    get soon() {
      return soon;
    },
    stop: () => clearInterval(timer),
  };
}
