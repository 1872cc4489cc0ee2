/** Where a running gateway is found: the data folder that a `gateway.yaml` names. */
import { readConfig } from '../config/load.js';
import { ProblemList } from '../errors.js';
import { dataFolder } from '../gateway.js';

/**
 * Reads no more of `gateway.yaml` than it must: whoever looks on need not hold the gateway's secrets.
 * @throws ProblemList
 */
export function findData(file: string): string {
  const { config, problems } = readConfig(file);
  const grave = problems.filter(({ code }) => code !== 'CONFIG_SECRET');
  if (grave.length > 0) throw new ProblemList(grave);
  return dataFolder(file, config);
}
