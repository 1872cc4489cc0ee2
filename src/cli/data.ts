/** Where a gateway is found: the data folder that a `gateway.yaml` names. */
import { readConfig } from '../config/load.js';
import type { GatewayConfig } from '../config/schema.js';
import { ProblemList } from '../errors.js';
import { dataFolder } from '../gateway.js';

/**
 * Reads no more of `gateway.yaml` than it must: whoever looks on need not hold the gateway's secrets.
 * @throws ProblemList
 */
export function findSite(file: string): { file: string; folder: string; config: GatewayConfig } {
  const { config, problems } = readConfig(file);
  const grave = problems.filter(({ code }) => code !== 'CONFIG_SECRET');
  if (grave.length > 0) throw new ProblemList(grave);
  return { file, folder: dataFolder(file, config), config };
}

/** The data folder alone; see `findSite`. */
export function findData(file: string): string {
  return findSite(file).folder;
}
