/**
 * Ends every run with one line of its own: `12 passed, 0 failed`, and `, 1 skipped` if any were. It is
 * written when the process ends, so that nothing comes after it. Whatever else went wrong (a file that
 * does not load, an error outside of tests, a set-up that fails) counts as a failure too.
 */
import type { Reporter, TestModule } from 'vitest/node';

interface Count {
  passed: number;
  failed: number;
  skipped: number;
}

export default function closingLine(): Reporter {
  let count: Count | null = null;
  return {
    onInit() {
      process.once('exit', (code) => {
        const { passed, failed, skipped } = count ?? { passed: 0, failed: 0, skipped: 0 };
        // A run that ends badly or not at all has failed, even if no test says so.
        const failures = failed === 0 && (code !== 0 || count === null) ? 1 : failed;
        const tail = skipped > 0 ? `, ${skipped} skipped` : '';
        process.stdout.write(`\n${passed} passed, ${failures} failed${tail}\n`);
      });
    },
    onTestRunEnd(modules, unhandledErrors) {
      count = { passed: 0, failed: unhandledErrors.length, skipped: 0 };
      for (const module of modules) add(count, module);
    },
  };
}

function add(count: Count, module: TestModule): void {
  let failed = 0;
  for (const test of module.children.allTests()) {
    const { state } = test.result();
    if (state === 'passed') count.passed += 1;
    else if (state === 'failed') failed += 1;
    else count.skipped += 1;
  }
  // A failed hook or a file that does not load fails no test, but the file.
  if (failed === 0 && !module.ok()) failed = 1;
  count.failed += failed;
}
