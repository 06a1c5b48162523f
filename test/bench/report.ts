/** What a benchmark found, as tables to read (and to paste into the README) and as JSON. */
import { cpus, totalmem } from 'node:os';

/** One mode against one target: medians of all rounds. */
export interface Cell {
  readonly mode: string;
  readonly target: string;
  readonly requests: number;
  readonly errors: number;
  readonly requestsPerSecond: number;
  /** Of the target alone, its database included; null where it cannot be measured. */
  readonly cpuMicros: number | null;
  readonly p50Ms: number;
  readonly p90Ms: number;
  readonly p99Ms: number;
  readonly firstByteP50Ms: number;
  readonly firstByteP99Ms: number;
  /** Of the target's own process, at the end of the mode. */
  readonly memoryMb: number | null;
}

export interface Comparison {
  readonly what: string;
  readonly value: number;
  readonly unit: 'x' | 'ms';
  /** null: shown without a target. */
  readonly atMost: number | null;
}

export const FLOOR = 'pass-through';
export const KEYLEDGER = 'keyledger';

export function machine(): string {
  const [cpu] = cpus();
  const memoryGb = Math.round(totalmem() / 1e9);
  return `${cpus().length} x ${cpu?.model.trim() ?? 'unknown CPU'}, ${memoryGb} GB, Node ${process.version}`;
}

/** Keyledger against the floor; empty when either was not measured. */
export function compare(cells: readonly Cell[]): Comparison[] {
  const comparisons: Comparison[] = [];
  for (const ours of cells.filter(({ target }) => target === KEYLEDGER)) {
    const floor = cells.find(({ mode, target }) => mode === ours.mode && target === FLOOR);
    if (floor === undefined) continue;
    const { mode } = ours;
    const add = (what: string, value: number, unit: 'x' | 'ms', atMost: number | null = null): void => {
      comparisons.push({ what: `${mode}: ${what}`, value, unit, atMost });
    };
    if (mode.includes('/s')) {
      add('added p50', ours.p50Ms - floor.p50Ms, 'ms', mode.startsWith('JSON') ? 1.5 : null);
      add('added p99', ours.p99Ms - floor.p99Ms, 'ms');
      if (mode.startsWith('SSE'))
        add('added time to first byte, p50', ours.firstByteP50Ms - floor.firstByteP50Ms, 'ms');
      continue;
    }
    if (ours.cpuMicros !== null && floor.cpuMicros !== null) {
      const atMost = mode === 'JSON, 32 connections' ? 4 : null;
      add('CPU per request', ours.cpuMicros / floor.cpuMicros, 'x', atMost);
    }
    add('requests/s', ours.requestsPerSecond / floor.requestsPerSecond, 'x');
    add('added p50', ours.p50Ms - floor.p50Ms, 'ms');
    add('added p99', ours.p99Ms - floor.p99Ms, 'ms');
  }
  return comparisons;
}

export function cellTable(cells: readonly Cell[]): string {
  const modes = new Set(cells.map(({ mode }) => mode));
  const rows = [...modes].flatMap((mode) => cells.filter((cell) => cell.mode === mode).map(cellRow));
  const head = [
    'mode',
    'target',
    'req/s',
    'CPU µs/req',
    'p50 ms',
    'p90 ms',
    'p99 ms',
    'first byte p50',
    'MB',
    'errors',
  ];
  return table(head, rows);
}

export function comparisonTable(comparisons: readonly Comparison[]): string {
  const rows = comparisons.map(({ what, value, unit, atMost }) => {
    const target = atMost === null ? '' : `at most ${atMost}${unit === 'x' ? 'x' : ' ms'}`;
    const verdict = atMost === null ? '' : value <= atMost ? 'met' : 'MISSED';
    return [what, unit === 'x' ? `${value.toFixed(2)}x` : `${value.toFixed(2)} ms`, target, verdict];
  });
  return table(['keyledger against the pass-through', 'measured', 'target', ''], rows);
}

function cellRow(cell: Cell): string[] {
  return [
    cell.mode,
    cell.target,
    cell.requestsPerSecond.toFixed(0),
    cell.cpuMicros?.toFixed(0) ?? '-',
    cell.p50Ms.toFixed(2),
    cell.p90Ms.toFixed(2),
    cell.p99Ms.toFixed(2),
    cell.firstByteP50Ms.toFixed(2),
    cell.memoryMb?.toFixed(0) ?? '-',
    String(cell.errors),
  ];
}

/** Markdown with padded columns. */
function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)),
  );
  const line = (row: readonly string[]): string =>
    `| ${row.map((text, i) => text.padEnd(widths[i] ?? 0)).join(' | ')} |`;
  return [line(head), line(widths.map((width) => '-'.repeat(width))), ...rows.map(line)].join('\n');
}
