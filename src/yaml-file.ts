import {
  isMap,
  isPair,
  isScalar,
  isSeq,
  LineCounter,
  type Document,
  type Node,
  parseDocument,
  visit,
} from 'yaml';
import type { z } from 'zod';

/**
 * YAML that people write by hand, read against a schema. Every problem is told with its line and
 * column, all at once, since a message such as "expected number" is no help in a file of 60 lines.
 */
export interface YamlProblem {
  /** 1-based. */
  readonly line: number;
  readonly column: number;
  /** `limits.production.budget`; '' for the whole file. */
  readonly path: string;
  readonly message: string;
}

export type YamlRead<T> =
  | { readonly value: T; readonly problems: readonly [] }
  | { readonly value: null; readonly problems: readonly YamlProblem[] };

type Path = readonly PropertyKey[];

/** Refuses duplicate and non-text keys, and more than one document; the schema refuses the rest. */
export function readYaml<T extends object>(text: string, schema: z.ZodType<T>): YamlRead<T> {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, stringKeys: true });
  const faults: YamlProblem[] = [...document.errors, ...document.warnings].map((fault) =>
    problemAt(lines, fault.pos[0], '', fault.message),
  );
  visit(document, {
    Alias: (_, alias) =>
      void faults.push(problemAt(lines, startOf(alias), '', 'write it out: aliases are not read')),
  });
  if (faults.length > 0) return refused(faults);
  const parsed = schema.safeParse(document.toJS());
  if (parsed.success) return { value: parsed.data, problems: [] };
  return refused(parsed.error.issues.flatMap((issue) => problemsOf(issue, document, lines)));
}

function refused(problems: readonly YamlProblem[]): { value: null; problems: readonly YamlProblem[] } {
  return { value: null, problems: problems.toSorted((a, b) => a.line - b.line || a.column - b.column) };
}

function problemsOf(issue: z.core.$ZodIssue, document: Document, lines: LineCounter): YamlProblem[] {
  const problem = (path: Path, message: string): YamlProblem => {
    const { offset, found } = locate(document, path);
    return problemAt(lines, offset, path.join('.'), found ? message : 'is missing');
  };
  switch (issue.code) {
    case 'unrecognized_keys':
      return issue.keys.map((key) => problem([...issue.path, key], 'there is no such field'));
    case 'invalid_key':
      return [problem(issue.path, issue.issues[0]?.message ?? issue.message)];
    default:
      return [problem(issue.path, issue.message)];
  }
}

/** Where a path stands in the text: the value, or the name of a value with members. */
function locate(document: Document, path: Path): { readonly offset: number; readonly found: boolean } {
  let node: unknown = document.contents;
  let offset = startOf(node);
  for (const step of path) {
    const inside = isMap(node) || isSeq(node) ? node.items : [];
    const item: unknown = isSeq(node)
      ? inside[Number(step)]
      : inside.find((pair) => isPair(pair) && isScalar(pair.key) && pair.key.value === step);
    if (item === undefined) return { offset, found: false };
    node = isPair(item) ? item.value : item;
    offset = startOf(isPair(item) && !isScalar(node) ? item.key : node);
  }
  return { offset, found: true };
}

function startOf(node: unknown): number {
  return (node as Node | null)?.range?.[0] ?? 0;
}

function problemAt(lines: LineCounter, offset: number, path: string, message: string): YamlProblem {
  const { line, col } = lines.linePos(offset);
  return { line: Math.max(line, 1), column: Math.max(col, 1), path, message };
}
