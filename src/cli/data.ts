/** Where a gateway is found: the data folder that a `gateway.yaml` names. */
import { readConfig } from '../config/load.js';
import type { GatewayConfig } from '../config/schema.js';
import { ProblemList, type TidegateError } from '../errors.js';
import { dataFolder } from '../site.js';

/**
 * Reads no more of `gateway.yaml` than it must: whoever looks on need not hold the gateway's secrets.
 * @throws ProblemList
 */
export function findSite(file: string): { file: string; folder: string; config: GatewayConfig } {
  const { folder, config, problems } = locate(file);
  const grave = problems.filter(({ code }) => code !== 'CONFIG_SECRET');
  if (grave.length > 0) throw new ProblemList(grave);
  return { file, folder, config };
}

/** The data folder alone; see `findSite`. */
export function findData(file: string): string {
  return findSite(file).folder;
}

/**
 * The same of a file that may have mistakes: what is right in it still says where the gateway is.
 * @throws ProblemList when it cannot be read as YAML
 */
export function locate(file: string): { folder: string; config: GatewayConfig; problems: TidegateError[] } {
  const { config, problems } = readConfig(file);
  return { folder: dataFolder(file, config), config, problems };
}
