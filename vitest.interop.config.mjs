import { defineConfig } from 'vitest/config';

// Tests against programs of other authors (mosquitto, pymodbus, mbpoll); CONTRIBUTING.md names their Debian packages.
export default defineConfig({
  test: {
    include: ['dist/test/interop/**/*.test.js'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    pool: 'forks',
  },
});
