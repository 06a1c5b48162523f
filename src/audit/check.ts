/** Where in the log or beside it something is not as it must be. */
export interface Finding {
  /** Position in the log; null when it is about a table. */
  readonly position: bigint | null;
  readonly problem: string;
}

/** One promise that was checked. As JSON. */
export interface CheckResult {
  readonly name: string;
  readonly ok: boolean;
  /** What was looked at, in a sentence. */
  readonly detail: string;
  /** The first problems, in the order in which they were met; [] when there are none. */
  readonly at: readonly { readonly position: string | null; readonly problem: string }[];
  /** All problems, counted. */
  readonly problems: number;
}

/** Collects what one check finds. It keeps the first findings and counts the rest. */
export interface Check {
  fail(position: bigint | null, problem: string): void;
  result(detail: string): CheckResult;
}

const FINDINGS_MAX = 20;

export function newCheck(name: string): Check {
  const findings: Finding[] = [];
  let problems = 0;
  return {
    fail(position, problem) {
      problems += 1;
      if (findings.length < FINDINGS_MAX) findings.push({ position, problem });
    },
    result: (detail) => ({
      name,
      ok: problems === 0,
      detail,
      at: findings.map(({ position, problem }) => ({
        position: position === null ? null : String(position),
        problem,
      })),
      problems,
    }),
  };
}
