/** YAML as Tidegate writes it. */
import { stringify } from 'yaml';

/** The text of a value: one line for each key, however long. */
export function writeYaml(value: object): string {
  return stringify(value, { lineWidth: 0 });
}
