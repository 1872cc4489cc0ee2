/** Chance that is the same in every run. */
export { random } from '../../src/cli/random.js';
