import { useState } from 'react';
import type { Agreement, ContractDifference } from '../api/shapes-desk.ts';
import { useRead } from '../api/hooks.ts';
import { useFormats, useT } from '../context.tsx';
import { Badge, Button, Card, Time } from '../parts/basics.tsx';
import { Icon } from '../parts/icons.tsx';
import { Empty, Shown } from '../parts/states.tsx';
import { isWord } from '../words/words.ts';
import { windowName } from './limit-table.tsx';

/** How the contract came to be what it is: every agreement, who made it, and what it changed. */
export function ContractHistory({ tenantId }: { readonly tenantId: string }) {
  const t = useT();
  const history = useRead('GET /api/tenants/:id/contracts', {
    params: { id: tenantId },
    live: { topics: ['tenants'] },
  });
  return (
    <Card title={t('history.contract')}>
      <Shown of={history} rows={3}>
        {({ data }) =>
          data.length === 0 ? (
            <Empty icon="plans" title={t('contract.none')} />
          ) : (
            <ol className="flex flex-col">
              {data.map((agreement, index) => (
                <Entry key={agreement.position} of={agreement} isLast={index === data.length - 1} />
              ))}
            </ol>
          )
        }
      </Shown>
    </Card>
  );
}

function Entry({ of: agreement, isLast }: { readonly of: Agreement; readonly isLast: boolean }) {
  const t = useT();
  const formats = useFormats();
  const { plan, plan_version: version, monthly_fee: fee, by, changes, kind } = agreement;
  const [open, setOpen] = useState(false);
  const who = by.name ?? (by.id === 'default_user_id' ? t('administrator') : by.id);
  // Against nothing everything is new; that is the contract itself, which stands above.
  const shown = kind === 'signed' ? [] : changes;
  return (
    <li className="relative flex gap-4 pb-5 last:pb-0">
      <span className="relative flex w-3 shrink-0 justify-center" aria-hidden="true">
        {!isLast && <span className="absolute top-4 -bottom-6 w-px bg-line" />}
        <span
          className={`mt-1.5 size-3 rounded-full border-2 ${agreement.in_force ? 'border-accent bg-accent' : 'border-strong bg-surface'}`}
        />
      </span>
      <div className="flex min-w-0 flex-1 flex-col gap-1">
        <p className="flex flex-wrap items-center gap-x-3 gap-y-1">
          <span className={`font-medium ${agreement.superseded ? 'text-soft line-through' : ''}`}>
            {plan === null ? t('contract.ends') : `${plan} v${version ?? ''}`}
          </span>
          {fee !== null && (
            <span className="num text-soft">{t('per.month', { sum: formats.money(fee) })}</span>
          )}
          {agreement.in_force && <Badge tone="good">{t('history.in_force')}</Badge>}
          {agreement.superseded && <Badge tone="calm">{t('history.superseded')}</Badge>}
        </p>
        <p className="text-sm text-soft">
          {t('contract.from')} <Time at={agreement.effective_from} as="date" /> · {t(`history.${kind}`)}{' '}
          <Time at={agreement.at} /> · {who}
        </p>
        {shown.length > 0 && (
          <div>
            <Button
              kind="quiet"
              className="-ml-3.5 text-sm"
              aria-expanded={open}
              onClick={() => setOpen(!open)}
            >
              {t(open ? 'history.less' : 'history.more', { count: shown.length })}
            </Button>
            {open && <Differences of={shown} />}
          </div>
        )}
      </div>
    </li>
  );
}

function Differences({ of: changes }: { readonly of: readonly ContractDifference[] }) {
  const t = useT();
  const textOf = useValues();
  return (
    <ul className="flex flex-col divide-y divide-line rounded-lg border border-line text-sm">
      {changes.map(({ place, what, before, after }) => (
        <li key={`${place} ${what}`} className="flex flex-col gap-0.5 px-3 py-2">
          <span className="text-soft">
            {nameOf(what, t)}
            {place !== 'terms' && ` · ${placeOf(place, t)}`}
          </span>
          <span className="break-words">
            <span className="text-soft line-through">{textOf(before)}</span>
            <Icon name="right" className="mx-1 inline size-3.5 text-soft" />
            <span className="font-medium">{textOf(after)}</span>
          </span>
        </li>
      ))}
    </ul>
  );
}

type Translate = ReturnType<typeof useT>;

function nameOf(what: string, t: Translate): string {
  const words = [`field.${what}`, `term.${what}`];
  const word = words.find(isWord);
  return word === undefined ? what : t(word);
}

function placeOf(place: string, t: Translate): string {
  if (place === 'tenant') return t('contract.together');
  const word = `env.${place}`;
  return isWord(word) ? t(word) : place;
}

/** `600000` and `500.00 EUR per 1mo` as people in the user's language write them. */
function useValues(): (text: string | null) => string {
  const t = useT();
  const formats = useFormats();
  return (text) => {
    if (text === null) return '–';
    if (text === 'unlimited') return t('unlimited');
    if (text === 'every model') return t('all');
    if (/^\d+$/.test(text)) return formats.number(Number(text));
    const [, window] = / per (\w+)$/.exec(text) ?? [];
    const amounts = text
      .replace(/ (per \w+|in all)$/, '')
      .replaceAll(/(\d+\.\d+) ([A-Z]{3})\b/g, (_, amount: string, currency: string) =>
        formats.money({ amount, currency }),
      );
    if (window !== undefined) return `${amounts} ${windowName(window, t)}`;
    return text.endsWith(' in all') ? `${amounts} ${windowName(null, t)}` : amounts;
  };
}
