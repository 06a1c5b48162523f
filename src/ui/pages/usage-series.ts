import type { UsageSum } from '../api/shapes-money.ts';
import { amountOf } from '../format.ts';
import { type Series, topSeries } from '../parts/chart.tsx';

/** What a chart of usage measures. */
export const MEASURES = ['price', 'requests', 'tokens'] as const;
export type Measure = (typeof MEASURES)[number];

/** What usage is broken down by. */
export const SUBJECTS = ['tenant', 'project', 'key', 'model', 'user', 'end_user', 'tag'] as const;
export type Subject = (typeof SUBJECTS)[number];

export const TIMES = ['day', 'week', 'month'] as const;
export type Time = (typeof TIMES)[number];

const DAY_MS = 86_400_000;

/** One label for every step that the days touch; weeks are named by their Monday. */
export function labelsOf(time: Time, days: readonly string[]): readonly string[] {
  if (time === 'day') return days;
  if (time === 'month') return [...new Set(days.map((day) => day.slice(0, 7)))];
  return [...new Set(days.map(mondayOf))];
}

function mondayOf(day: string): string {
  const at = Date.parse(`${day}T00:00:00Z`);
  const sinceMonday = (new Date(at).getUTCDay() + 6) % 7;
  return new Date(at - sinceMonday * DAY_MS).toISOString().slice(0, 10);
}

export function measureOf(sum: UsageSum, measure: Measure): number {
  if (measure === 'price') return amountOf(sum.price);
  return measure === 'requests' ? sum.requests : sum.input_tokens + sum.output_tokens;
}

/** Sums by a time and a subject as one series per subject, the smaller ones together. */
export function seriesBy(
  sums: readonly UsageSum[],
  labels: readonly string[],
  subject: string,
  nameOf: (id: string | null) => string,
  rest: string,
  measure: Measure = 'price',
): readonly Series[] {
  const places = new Map(labels.map((label, index) => [label, index]));
  const series = new Map<string | null, number[]>();
  for (const sum of sums) {
    const time = sum.group['day'] ?? sum.group['week'] ?? sum.group['hour'] ?? sum.group['month'];
    const place = places.get(time ?? '');
    if (place === undefined) continue;
    const id = sum.group[subject] ?? null;
    const values = series.get(id) ?? labels.map(() => 0);
    values[place] = (values[place] ?? 0) + measureOf(sum, measure);
    series.set(id, values);
  }
  return topSeries(
    [...series].map(([id, values]) => ({ name: nameOf(id), values })),
    rest,
  );
}
