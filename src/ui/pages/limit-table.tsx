import type { ReactNode } from 'react';
import type { Limits } from '../api/shapes-keys.ts';
import { useFormats, useT } from '../context.tsx';
import { isWord } from '../words/words.ts';

/** Limits of several levels side by side. */
export function LimitTable({
  columns,
}: {
  readonly columns: readonly (readonly [title: string, limits: Limits])[];
}) {
  const t = useT();
  const formats = useFormats();
  const count = (value: number | null) => (value === null ? t('unlimited') : formats.compact(value));
  const rows: readonly (readonly [string, (limits: Limits) => ReactNode])[] = [
    [t('limit.rpm'), (limits) => count(limits.requests_per_minute)],
    [t('limit.tpm'), (limits) => count(limits.tokens_per_minute)],
    [t('limit.parallel'), (limits) => count(limits.parallel_requests)],
    [
      t('budget'),
      ({ budget }) =>
        budget === null ? (
          t('unlimited')
        ) : (
          <>
            {formats.money(budget, { whole: Number.isInteger(Number(budget.amount)) })}
            <span className="block text-soft">{windowName(budget.window, t)}</span>
          </>
        ),
    ],
    [t('models'), ({ models }) => (models.length === 0 ? t('all') : models.join(', '))],
  ];
  return (
    <div className="overflow-x-auto" tabIndex={0} role="region" aria-label={t('limits')}>
      <table className="w-full text-sm">
        <thead>
          <tr className="border-b border-line text-soft">
            <th scope="col" className="py-1.5 pr-2 text-left font-medium">
              <span className="sr-only">{t('limits')}</span>
            </th>
            {columns.map(([title]) => (
              <th key={title} scope="col" className="py-1.5 pl-2 text-right font-medium">
                {title}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map(([label, cellOf]) => (
            <tr key={label} className="border-b border-line align-top last:border-0">
              <th scope="row" className="py-1.5 pr-2 text-left font-normal text-soft">
                {label}
              </th>
              {columns.map(([title, limits]) => (
                <td key={title} className="num py-1.5 pl-2 text-right">
                  {cellOf(limits)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** `1mo` in words. */
export function windowName(window: string | null, t: ReturnType<typeof useT>): string {
  const word = `window.${window ?? 'ever'}`;
  return isWord(word) ? t(word) : (window ?? '');
}
