import type { Json } from '../domain/json.ts';
import type { HistoryStep, KeyHistory } from './key-history.ts';
import type { MonthSpend } from './key-spend.ts';

/** A key's history as plain text: one block per step with what it changed, then the spend by month. */
export function formatKeyHistory(history: KeyHistory): string {
  const { key_id, agency_id, tenant_id, steps, spend } = history;
  const lines = [
    `Key ${key_id}, tenant ${tenant_id}, agency ${agency_id}`,
    ...steps.flatMap((step) => stepText(step)),
    '',
    ...stateText(history),
    '',
    ...spendText(spend),
  ];
  return `${lines.join('\n')}\n`;
}

function stepText(step: HistoryStep): readonly string[] {
  const { kind, id, on_behalf_of } = step.actor;
  const actor = `${kind} ${id}${on_behalf_of === null ? '' : ` for ${on_behalf_of}`}`;
  const width = Math.max(0, ...step.changes.map(({ field }) => field.length));
  return [
    '',
    `#${step.position}  ${step.recorded_at}  ${step.type}  by ${actor}  (request ${step.correlation_id})`,
    ...step.changes
      .filter(({ before, after }) => !isEmpty(before) || !isEmpty(after))
      .map(({ field, before, after }) => {
        const change = isEmpty(before) ? valueText(after) : `${valueText(before)} -> ${valueText(after)}`;
        return `    ${field.padEnd(width)}  ${change}`;
      }),
  ];
}

function stateText({ at, position, state, acceptance }: KeyHistory): readonly string[] {
  if (state === null) return [`At ${at} the key did not exist.`];
  const { secret, old_secret, refusal } = acceptance;
  return [
    `At ${at} (position ${position}) the key was ${valueText(state['status'] ?? null)}:`,
    `    its secret ${valueText(state['fingerprint'] ?? null)} was ${secret ? 'accepted' : `refused (${refusal})`}`,
    ...(old_secret
      ? [`    the one before, ${valueText(state['old_fingerprint'] ?? null)}, was accepted, too`]
      : []),
  ];
}

function spendText(spend: readonly MonthSpend[]): readonly string[] {
  if (spend.length === 0) return ['No spend until then.'];
  const rows = spend.flatMap((month) => [
    [
      month.month,
      String(month.requests),
      month.input_tokens,
      month.output_tokens,
      month.price.amount,
      month.price.currency,
      '',
    ],
    ...month.invoices.map((share) => [
      '',
      '',
      '',
      '',
      share.price.amount,
      share.price.currency,
      shareText(share),
    ]),
  ]);
  const head = ['month', 'requests', 'input', 'output', 'price', '', 'invoice'];
  const all = [head, ...rows];
  const widths = head.map((_, column) => Math.max(...all.map((row) => row[column]!.length)));
  return all.map((row) =>
    row
      .map((cell, column) =>
        column > 0 && column < 5 ? cell.padStart(widths[column]!) : cell.padEnd(widths[column]!),
      )
      .join('  ')
      .trimEnd(),
  );
}

function shareText({ number, invoice_id, status, period }: MonthSpend['invoices'][number]): string {
  if (period === null) return 'open';
  return number ?? (invoice_id === null ? `${period}, not invoiced` : `${invoice_id} (${status})`);
}

function isEmpty(value: Json): boolean {
  return value === null || (typeof value === 'object' && Object.keys(value).length === 0);
}

function valueText(value: Json): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}
