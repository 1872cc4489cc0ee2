import { defineConfig } from 'vitest/config';

// Tests run as compiled, so that what is tested is what ships (worker threads included).
export default defineConfig({
  test: {
    include: ['dist/test/**/*.test.js'],
    exclude: ['dist/test/interop/**', 'dist/test/faults/**'],
    testTimeout: 20_000,
    hookTimeout: 20_000,
    pool: 'forks',
    // Most tests wait more than they reckon.
    maxWorkers: 3,
  },
});
