/** Certificates that end soon, for `tidegate check`. */
import { TidegateError } from '../errors.js';
import { expiryText, findExpiring } from '../ops/expiry.js';
import { dataFolder, driverFolder, type Site } from '../site.js';

/** A warning for each certificate of the site's drivers that ends within 30 days, or has ended. */
export async function warnOfExpiring(site: Site): Promise<TidegateError[]> {
  const folder = dataFolder(site.file, site.config);
  const expiring = await findExpiring(site.drivers.values(), (driver) => driverFolder(folder, driver));
  return expiring.map(
    (one) =>
      new TidegateError('LINK_UNTRUSTED', expiryText(one), {
        hint:
          one.state === 'own'
            ? '`tidegate trust export --renew` makes a new one, which every server must trust anew.'
            : 'Renew it in the server, then approve the new one with `tidegate trust`.',
      }),
  );
}
