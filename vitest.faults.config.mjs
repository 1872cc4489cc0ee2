import { defineConfig } from 'vitest/config';

// Disks that fail, power cuts, kills, brokers that misbehave; CONTRIBUTING.md names the Debian packages and the long forms.
export default defineConfig({
  test: {
    include: ['dist/test/faults/**/*.test.js'],
    globalSetup: ['dist/test/faults/setup.js'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    pool: 'forks',
    maxWorkers: 3,
  },
});
