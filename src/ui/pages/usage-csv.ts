import type { UsageSum } from '../api/shapes-money.ts';

/**
 * Sums by time and subject for programs: exact amounts with a decimal point, one line per sum. A text
 * that a spreadsheet would take for a formula is defused.
 */
export function csvOf(
  { time, subject }: { readonly time: string; readonly subject: string },
  sums: readonly UsageSum[],
  nameOf: (id: string | null) => string,
): string {
  const head = [
    time,
    subject,
    'name',
    'requests',
    'failed',
    'input_tokens',
    'output_tokens',
    'cost',
    'price',
    'currency',
  ];
  const lines = sums.map(({ group, requests, failed, input_tokens, output_tokens, cost, price }) =>
    [
      group[time] ?? '',
      quoted(group[subject] ?? ''),
      quoted(nameOf(group[subject] ?? null)),
      requests,
      failed,
      input_tokens,
      output_tokens,
      cost?.amount ?? '',
      price.amount,
      price.currency,
    ].join(','),
  );
  return `${[head.join(','), ...lines].join('\r\n')}\r\n`;
}

function quoted(text: string): string {
  return `"${(/^[=+\-@\t\r]/.test(text) ? `'${text}` : text).replaceAll('"', '""')}"`;
}
