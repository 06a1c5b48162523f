import type { CheckResult } from './check.ts';
import type { VerifyReport } from './verify.ts';

/** The verdict on one page: what was checked, and every place where something is wrong. */
export function formatVerdict(report: VerifyReport): string {
  const { ok, head, events, streams, checks, durationMs, eventsPerSecond } = report;
  const width = Math.max(...checks.map(({ name }) => name.length));
  const failed = checks.filter((check) => !check.ok).length;
  const lines = [
    `Log up to position ${head}: ${events} events in ${streams} streams, ${(durationMs / 1000).toFixed(1)} s, ${eventsPerSecond} events/s`,
    '',
    ...checks.flatMap((check) => checkText(check, width)),
    '',
    ok
      ? 'VERIFIED: nothing was altered, removed or slipped in.'
      : `NOT VERIFIED: ${failed} of ${checks.length} checks failed.`,
  ];
  return `${lines.join('\n')}\n`;
}

function checkText({ name, ok, detail, at, problems }: CheckResult, width: number): readonly string[] {
  const more = problems - at.length;
  return [
    `${ok ? 'ok  ' : 'FAIL'}  ${name.padEnd(width)}  ${detail}`,
    ...at.map(({ position, problem }) => `        ${position === null ? '' : `at ${position}: `}${problem}`),
    ...(more > 0 ? [`        and ${more} more`] : []),
  ];
}
