import type { CheckResult } from './check.ts';

/** What every report of a check has. */
export interface Verdict {
  readonly ok: boolean;
  /** First and last position that was looked at. */
  readonly from: string;
  readonly head: string;
  readonly events: number;
  readonly streams: number;
  readonly checks: readonly CheckResult[];
  readonly durationMs: number;
  readonly eventsPerSecond: number;
  readonly sealedTo: string | null;
  readonly newestSeal: string | null;
}

/** The verdict on one page: what was checked, and every place where something is wrong. */
export function formatVerdict(report: Verdict): string {
  const { ok, from, head, events, streams, checks, durationMs, eventsPerSecond } = report;
  const width = Math.max(...checks.map(({ name }) => name.length));
  const failed = checks.filter((check) => !check.ok).length;
  const lines = [
    `Log from position ${from} to ${head}: ${events} events in ${streams} streams, ${(durationMs / 1000).toFixed(1)} s, ${eventsPerSecond} events/s`,
    '',
    ...checks.flatMap((check) => checkText(check, width)),
    '',
    ...sealText(report),
    ok
      ? 'VERIFIED: nothing was altered, removed or slipped in.'
      : `NOT VERIFIED: ${failed} of ${checks.length} checks failed.`,
  ];
  return `${lines.join('\n')}\n`;
}

/** Says what a check without knowledge from elsewhere cannot see. */
function sealText({ sealedTo, newestSeal, head }: Verdict): readonly string[] {
  if (sealedTo === null || newestSeal === null) {
    return ['No seal was checked: somebody who owns the database could have made the whole log anew.', ''];
  }
  const open = BigInt(head) - BigInt(sealedTo);
  const rest = open > 0n ? ` The last ${open} events are chained and not sealed yet.` : '';
  return [
    `Sealed up to position ${sealedTo}.${rest} That newer events and seals were cut off shows only to`,
    `somebody who noted a later one. Note this seal for the next check (--expect): ${newestSeal}`,
    '',
  ];
}

function checkText({ name, ok, detail, at, problems }: CheckResult, width: number): readonly string[] {
  const more = problems - at.length;
  return [
    `${ok ? 'ok  ' : 'FAIL'}  ${name.padEnd(width)}  ${detail}`,
    ...at.map(({ position, problem }) => `        ${position === null ? '' : `at ${position}: `}${problem}`),
    ...(more > 0 ? [`        and ${more} more`] : []),
  ];
}
