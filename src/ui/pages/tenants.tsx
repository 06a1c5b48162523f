import { useState } from 'react';
import { Link } from 'wouter';
import type { TenantFigures } from '../api/shapes-money.ts';
import { useRead } from '../api/hooks.ts';
import { useFormats, useRights, useT } from '../context.tsx';
import { amountOf } from '../format.ts';
import { Card, LinkButton, Meter, Page, Status, Time } from '../parts/basics.tsx';
import { TextField } from '../parts/form.tsx';
import { Empty, Shown } from '../parts/states.tsx';
import { type Column, Table } from '../parts/table.tsx';

export default function Tenants() {
  const t = useT();
  const { admin } = useRights();
  const figures = useRead('GET /api/tenant-figures');
  const [wanted, setWanted] = useState('');
  const onboard = (
    <LinkButton to="/tenants/new" kind="primary" icon="plus">
      {t('tenants.onboard')}
    </LinkButton>
  );
  const matches = ({ name, id, plan }: TenantFigures) =>
    [name, id, plan].some((text) => text?.toLowerCase().includes(wanted.trim().toLowerCase()));
  return (
    <Page title={t('tenants')} lead={t('tenants.lead')} actions={admin ? onboard : undefined}>
      <Card flush>
        <Shown of={figures}>
          {({ data }) => {
            const customers = data.filter(({ own }) => !own);
            if (customers.length === 0)
              return (
                <Empty icon="tenants" title={t('tenants.none')} action={admin ? onboard : undefined}>
                  {t('tenants.none.hint')}
                </Empty>
              );
            return (
              <>
                <div className="max-w-sm px-5 pt-4 pb-2">
                  <TextField label={t('search')} type="search" value={wanted} onText={setWanted} />
                </div>
                <TenantTable rows={customers.filter(matches)} />
              </>
            );
          }}
        </Shown>
      </Card>
    </Page>
  );
}

function TenantTable({ rows }: { readonly rows: readonly TenantFigures[] }) {
  const t = useT();
  const formats = useFormats();
  if (rows.length === 0) return <Empty icon="search" title={t('search.none')} />;
  const columns: readonly Column<TenantFigures>[] = [
    {
      title: t('tenant'),
      wide: true,
      cell: ({ id, name, keys, projects }) => (
        <>
          <Link href={`/tenants/${id}`} className="rounded font-medium hover:underline">
            {name ?? id}
          </Link>
          <span className="block text-sm text-soft">{t('tenants.size', { projects, keys })}</span>
        </>
      ),
    },
    {
      title: t('plan'),
      from: 'sm',
      cell: ({ plan, plan_version: version }) =>
        plan === null ? '–' : <span className="whitespace-nowrap">{`${plan} v${version}`}</span>,
    },
    { title: t('tenants.spent'), right: true, cell: ({ spent }) => formats.money(spent) },
    {
      title: t('tenants.included'),
      from: 'md',
      cell: ({ spent, included_usage: included, name, id }) =>
        included === null ? (
          '–'
        ) : (
          <div className="flex w-44 flex-col gap-1">
            <span className="num text-sm text-soft">
              {t('tenants.of', {
                part: formats.percent(amountOf(spent) / amountOf(included)),
                sum: formats.money(included),
              })}
            </span>
            <Meter
              used={amountOf(spent)}
              of={amountOf(included)}
              label={t('meter.included', { name: name ?? id })}
            />
          </div>
        ),
    },
    {
      title: t('budget'),
      from: 'lg',
      right: true,
      cell: ({ budget }) => (budget === null ? t('unlimited') : formats.money(budget, { whole: true })),
    },
    { title: t('since'), from: 'xl', cell: ({ onboarded_at: at }) => <Time at={at} as="date" /> },
    { title: t('status'), cell: ({ status }) => <Status of={status} /> },
  ];
  return <Table caption={t('tenants')} columns={columns} rows={rows} keyOf={({ id }) => id} />;
}
