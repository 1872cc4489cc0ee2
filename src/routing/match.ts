/** Which devices a rule is about. */
import { compilePatterns } from '../config/pattern.js';
import type { Device } from '../model.js';
import type { Match } from './rule.js';

/** Tells whether a rule is about a device; its points are another question. */
export function compileDeviceMatch(match: Match): (device: Pick<Device, 'id' | 'profile' | 'tags'>) => boolean {
  const id = compilePatterns(match.device);
  const profile = compilePatterns(match.profile);
  const tags = Object.entries(match.tags ?? {}).map(([name, values]) => [name, compilePatterns(values)] as const);
  return (device) =>
    id(device.id) &&
    profile(device.profile) &&
    tags.every(([name, fits]) => {
      const value = Object.hasOwn(device.tags, name) ? device.tags[name] : undefined;
      return value !== undefined && fits(value);
    });
}
