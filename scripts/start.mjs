#!/usr/bin/env node
// Makes the clone ready, then is `tidegate` with the same words: one process, so that signals sent to npm reach it.
await import('./setup.mjs');
await import('../dist/src/main.js');
