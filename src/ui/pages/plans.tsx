import { useState } from 'react';
import type { Plan } from '../api/shapes-keys.ts';
import { useRead } from '../api/hooks.ts';
import { useFormats, useRights, useT } from '../context.tsx';
import { Button, Card, Page, Time } from '../parts/basics.tsx';
import { Empty, Shown } from '../parts/states.tsx';
import { LimitTable } from './limit-table.tsx';
import { WhatIf } from './what-if.tsx';

/** The tiers side by side, each with its newest version and who has signed it. */
export default function Plans() {
  const t = useT();
  const plans = useRead('GET /api/plans');
  return (
    <Page title={t('plans')} lead={t('plans.lead')}>
      <Shown of={plans}>
        {({ data }) =>
          data.length === 0 ? (
            <Card>
              <Empty icon="plans" title={t('plans.none')} />
            </Card>
          ) : (
            <div className="grid items-start gap-5 lg:grid-cols-3">
              {data
                .toSorted((a, b) => Number(a.terms.monthly_fee.amount) - Number(b.terms.monthly_fee.amount))
                .map((plan) => (
                  <Tier key={plan.name} of={plan} />
                ))}
            </div>
          )
        }
      </Shown>
    </Page>
  );
}

function Tier({ of: { name, version, published_at: at, terms } }: { readonly of: Plan }) {
  const t = useT();
  const formats = useFormats();
  const { agency } = useRights();
  const [asking, setAsking] = useState(false);
  const figures = useRead('GET /api/tenant-figures');
  const signed = figures.data?.data.filter(({ plan, own }) => plan === name && !own) ?? [];
  return (
    <Card>
      <div className="flex flex-col gap-5 pt-4">
        <div>
          <h2 className="text-lg font-semibold capitalize">{name}</h2>
          <p className="num text-3xl font-semibold tracking-tight">
            {formats.money(terms.monthly_fee)}{' '}
            <span className="text-base font-normal text-soft">{t('month.per')}</span>
          </p>
          <p className="text-soft">{t('plan.includes', { sum: formats.money(terms.included_usage) })}</p>
          <p className="mt-1 text-sm text-soft">
            {t('plan.version', { version })} · <Time at={at} as="date" /> ·{' '}
            {t('plan.signed', { count: signed.length })}
          </p>
          {agency && (
            <div className="mt-3">
              <Button aria-label={t('whatif.of', { plan: name })} onClick={() => setAsking(true)}>
                {t('whatif')}
              </Button>
            </div>
          )}
        </div>
        <section>
          <h3 className="mb-1 text-sm font-semibold">{t('plan.prices')}</h3>
          <table className="w-full text-sm">
            <thead>
              <tr className="border-b border-line text-soft">
                <th scope="col" className="py-1.5 text-left font-medium">
                  {t('model')}
                </th>
                <th scope="col" className="py-1.5 text-right font-medium">
                  {t('unit.input')}
                </th>
                <th scope="col" className="py-1.5 text-right font-medium">
                  {t('unit.output')}
                </th>
              </tr>
            </thead>
            <tbody>
              {Object.entries(terms.prices.models).map(([model, price]) => (
                <tr key={model} className="border-b border-line last:border-0">
                  <th scope="row" className="py-1.5 text-left font-normal break-all">
                    {model}
                  </th>
                  <td className="num py-1.5 text-right">{formats.money(price.input)}</td>
                  <td className="num py-1.5 text-right">{formats.money(price.output)}</td>
                </tr>
              ))}
            </tbody>
          </table>
          <p className="mt-1 text-sm text-soft">
            {terms.prices.markup_percent === null
              ? t('plan.markup.none')
              : t('plan.markup', { percent: terms.prices.markup_percent })}
          </p>
        </section>
        <section>
          <h3 className="mb-1 text-sm font-semibold">{t('limits')}</h3>
          <LimitTable
            columns={[
              [t('env.production'), terms.limits.production],
              [t('env.staging'), terms.limits.staging],
            ]}
          />
        </section>
      </div>
      {asking && <WhatIf plan={name} onClose={() => setAsking(false)} />}
    </Card>
  );
}
