/** Deepest nesting of JSON that anybody needs; folding and hashing deeper values would exhaust the stack. */
const DEPTH_MAX = 32;
const PROBLEMS_MAX = 20;

/** NUL, which PostgreSQL cannot store, and halves of surrogate pairs, which UTF-8 cannot. */
const UNSTORABLE = /[\0\p{Cs}]/u;

/** What makes input unfit for storing, whatever field it is in: `body.metadata.note: …`. */
export function problemsIn(context: string, value: unknown): readonly string[] {
  const problems: string[] = [];
  const visit = (path: string, value: unknown, depth: number): void => {
    if (problems.length >= PROBLEMS_MAX) return;
    if (typeof value === 'string') {
      if (UNSTORABLE.test(value)) problems.push(`${path}: contains NUL or half of a surrogate pair`);
      return;
    }
    if (typeof value !== 'object' || value === null) return;
    if (depth > DEPTH_MAX) {
      problems.push(`${context}: is nested more than ${DEPTH_MAX} levels deep`);
      return;
    }
    for (const [name, member] of Object.entries(value)) {
      if (UNSTORABLE.test(name)) problems.push(`${path}: a name contains NUL or half of a surrogate pair`);
      visit(`${path}.${name}`, member, depth + 1);
    }
  };
  visit(context, value, 0);
  return problems;
}
