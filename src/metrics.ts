/** Measured values in the text format that Prometheus reads. */

export interface Metric {
  /** Lower case, `_` between words, the unit last: `_seconds`, `_total` for a counter. */
  readonly name: string;
  readonly help: string;
  readonly type: 'gauge' | 'counter';
  readonly samples: readonly Sample[];
}

export interface Sample {
  /** What there are few of and what says nothing about anybody: never ids, names or secrets. */
  readonly labels?: Readonly<Record<string, string>>;
  readonly value: number | bigint;
}

export const METRICS_CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

export function exposition(metrics: readonly Metric[]): string {
  let text = '';
  for (const { name, help, type, samples } of metrics) {
    if (samples.length === 0) continue;
    text += `# HELP ${name} ${escaped(help)}\n# TYPE ${name} ${type}\n`;
    for (const { labels = {}, value } of samples) text += `${name}${labelText(labels)} ${valueText(value)}\n`;
  }
  return text;
}

/** A metric with one value and no labels. */
export function single(
  type: Metric['type'],
  name: string,
  help: string,
  value: number | bigint | null,
): Metric {
  return { name, help, type, samples: value === null ? [] : [{ value }] };
}

function labelText(labels: Readonly<Record<string, string>>): string {
  const pairs = Object.entries(labels).map(
    ([name, value]) => `${name}="${escaped(value).replaceAll('"', '\\"')}"`,
  );
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`;
}

function escaped(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n');
}

function valueText(value: number | bigint): string {
  if (value === Number.POSITIVE_INFINITY) return '+Inf';
  if (value === Number.NEGATIVE_INFINITY) return '-Inf';
  return String(value);
}
