/** Certificates that end soon, ours and those that people trusted, for `tidegate check`. */
import type { Driver, KnownCertificate } from '../driver.js';
import { TidegateError } from '../errors.js';
import { dataFolder, driverFolder } from '../gateway.js';
import type { Site } from '../site.js';

/** A warning for each certificate of the site's drivers that ends within 30 days, or has ended. */
export async function findExpiring(site: Site): Promise<TidegateError[]> {
  const folder = dataFolder(site.file, site.config);
  const known = await Promise.all([...new Set(site.drivers.values())].map((driver) => certificatesOf(driver, folder)));
  return known
    .flat()
    .filter(({ state, ends }) => ends !== undefined && (state === 'own' || state === 'trusted'))
    .map(({ state, subject, ends, met }) =>
      state === 'own'
        ? new TidegateError('LINK_UNTRUSTED', `our own certificate ${subject} ${ends}`, {
            hint: '`tidegate trust export --renew` makes a new one, which every server must trust anew.',
          })
        : new TidegateError('LINK_UNTRUSTED', `the certificate of ${[subject, ...met].join(', ')} ${ends}`, {
            hint: 'Renew it in the server, then approve the new one with `tidegate trust`.',
          }),
    );
}

async function certificatesOf(driver: Driver, folder: string): Promise<KnownCertificate[]> {
  return (await driver.trust?.(driverFolder(folder, driver.name)).list()) ?? [];
}
