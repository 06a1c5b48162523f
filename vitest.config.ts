import { defineConfig } from 'vitest/config';

/**
 * Starting a process and loading the program costs a second for each file, twice what most of their
 * tests need: files share processes unless what they do to their process would meet the next one.
 */
const ALONE = [
  // Programs of their own, browsers, and processes that are killed.
  'test/journeys/**/*.test.ts',
  'test/ui/journeys.test.ts',
  // They change the zone of their process, or count what nobody has caught in it.
  'test/domain/period.test.ts',
  'test/store/eventstoredb-faults.test.ts',
];

const common = { pool: 'forks', testTimeout: 30_000, hookTimeout: 60_000 } as const;
/** Programs are started here, on a machine that others may use too. */
const patient = { testTimeout: 120_000, hookTimeout: 180_000 };

export default defineConfig({
  test: {
    globalSetup: ['test/support/global-setup.ts'],
    reporters: ['default', './test/support/closing-line.ts'],
    maxWorkers: 2,
    projects: [
      { test: { ...common, ...patient, name: 'alone', include: ALONE } },
      { test: { ...common, name: 'shared', include: ['test/**/*.test.ts'], exclude: ALONE, isolate: false } },
    ],
  },
});
