import { useRead } from '../api/hooks.ts';
import { urlOf } from '../api/client.ts';
import { useFormats, useT } from '../context.tsx';
import { amountOf, monthsUpTo } from '../format.ts';
import { useNames } from '../names.ts';
import { Card } from '../parts/basics.tsx';
import { SelectField } from '../parts/form.tsx';
import { Icon } from '../parts/icons.tsx';
import { Empty, Shown } from '../parts/states.tsx';
import { Table } from '../parts/table.tsx';
import { useFilters } from '../search.ts';

const ROUTE = 'GET /api/reports/margin';

/** What a month's usage earns, by tenant and project: price against cost and flat fees. */
export function MarginCard() {
  const t = useT();
  const formats = useFormats();
  const names = useNames();
  const [get, set] = useFilters();
  const months = monthsUpTo(formats.today());
  const period = get('month') || months[0]!;
  const margin = useRead(ROUTE, { query: { period }, keep: true });
  return (
    <Card
      title={t('margin.title')}
      flush
      action={
        <a
          href={urlOf(ROUTE, {}, { period, format: 'csv' })}
          download
          className="inline-flex min-h-10 items-center gap-2 rounded-lg px-3 text-accent hover:bg-sunken"
        >
          <Icon name="download" className="size-4.5" />
          {t('margin.csv')}
        </a>
      }
    >
      <div className="max-w-70 px-5 pb-3">
        <SelectField
          label={t('period')}
          value={period}
          onText={(month) => set({ month })}
          choices={months.map((month) => [month, formats.month(month)] as const)}
        />
      </div>
      <Shown of={margin}>
        {({ data, unspread }) => (
          <>
            {data.length === 0 ? (
              <Empty icon="usage" title={t('usage.none')} />
            ) : (
              <Table
                caption={t('margin.title')}
                rows={data.toSorted((a, b) => amountOf(b.margin) - amountOf(a.margin))}
                keyOf={({ tenant_id: tenant, project_id: project }) => `${tenant} ${project ?? ''}`}
                columns={[
                  {
                    title: t('tenant'),
                    wide: true,
                    cell: ({ tenant_id: tenant, project_id: project }) => (
                      <>
                        <span className="font-medium">{names.tenant(tenant)}</span>
                        <span className="block text-sm text-soft">{names.project(project)}</span>
                      </>
                    ),
                  },
                  {
                    title: t('figure.requests'),
                    right: true,
                    from: 'lg',
                    cell: ({ requests }) => formats.number(requests),
                  },
                  {
                    title: t('measure.price'),
                    right: true,
                    from: 'sm',
                    cell: ({ price }) => formats.money(price),
                  },
                  { title: t('cost'), right: true, from: 'md', cell: ({ cost }) => formats.money(cost) },
                  {
                    title: t('margin.flat'),
                    right: true,
                    from: 'lg',
                    cell: ({ flat_cost: flat }) => formats.money(flat),
                  },
                  { title: t('figure.margin'), right: true, cell: ({ margin: sum }) => formats.money(sum) },
                ]}
              />
            )}
            {unspread.map(({ deployment, flat_cost: fee }) => (
              <p key={deployment} className="px-5 py-2 text-sm text-soft">
                {t('margin.unspread', { deployment, fee: formats.money(fee) })}
              </p>
            ))}
          </>
        )}
      </Shown>
    </Card>
  );
}
