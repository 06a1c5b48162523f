import type { ContractChange, LimitsChange } from '../api/shapes-desk.ts';
import type { Contract, Limits } from '../api/shapes-keys.ts';
import { useFormats, useT } from '../context.tsx';
import { Facts, Time } from '../parts/basics.tsx';
import { Table } from '../parts/table.tsx';
import { PlannedList } from './contract-planned.tsx';
import { windowName } from './limit-table.tsx';

/** What a change of a contract does: to the month's fee, to the tenant's limits, to each key. */
export function ContractEffect({ of: change }: { readonly of: ContractChange }) {
  const t = useT();
  const { before, after, keys, tenant_limits: together, dropped } = change;
  return (
    <>
      <Facts
        items={[
          [t('contract.from'), <Time key="from" at={change.effective_from} />],
          [t('contract.before'), nameOf(before)],
          [t('contract.after'), after === null ? t('contract.ends') : nameOf(after)],
        ]}
      />
      <SumTable of={change} />
      {dropped.length > 0 && (
        <div className="rounded-lg border border-line px-4 pb-3">
          <PlannedList of={dropped} />
          <p className="mt-2 text-sm text-soft">{t('contract.dropped')}</p>
        </div>
      )}
      <Diff
        title={t('contract.keys', { count: keys.length })}
        rows={[
          ...rowsOf(t('contract.together'), 'tenant', together),
          ...keys.flatMap((key) => rowsOf(key.alias ?? key.id, key.id, key)),
        ]}
      />
    </>
  );
}

function nameOf(contract: Contract | null): string {
  return contract === null ? '–' : `${contract.plan} v${contract.plan_version}`;
}

function SumTable({ of: { before, after, month: sums } }: { readonly of: ContractChange }) {
  const { period, fee, included_usage: included } = sums;
  const t = useT();
  const formats = useFormats();
  const month = formats.month(period);
  const rows = [
    { title: t('contract.fee'), before: before?.monthly_fee ?? 0, after: after?.monthly_fee ?? 0 },
    { title: t('contract.fee.month', { month }), ...fee },
    { title: t('contract.included.month', { month }), ...included },
  ];
  return (
    <section>
      <Table
        caption={t('contract.sums')}
        rows={rows}
        keyOf={({ title }) => title}
        columns={[
          { title: t('contract.part'), wide: true, cell: ({ title }) => title },
          { title: t('contract.before'), right: true, cell: ({ before }) => formats.money(before) },
          { title: t('contract.after'), right: true, cell: ({ after }) => formats.money(after) },
        ]}
      />
    </section>
  );
}

interface DiffRow {
  readonly id: string;
  readonly name: string;
  readonly limit: keyof Limits;
  readonly before: Limits;
  readonly after: Limits;
}

function rowsOf(name: string, id: string, { before, after, changes }: LimitsChange): readonly DiffRow[] {
  return changes.map(({ limit }) => ({ id: `${id} ${limit}`, name, limit, before, after }));
}

function Diff({ title, rows }: { readonly title: string; readonly rows: readonly DiffRow[] }) {
  const t = useT();
  const textOf = useLimitText();
  if (rows.length === 0) return <p className="text-soft">{t('contract.keys.none')}</p>;
  return (
    <section>
      <h3 className="text-sm font-semibold">{title}</h3>
      <div className="max-h-72 overflow-y-auto rounded-lg border border-line">
        <Table
          caption={title}
          rows={rows}
          keyOf={({ id }) => id}
          columns={[
            {
              title: t('key'),
              wide: true,
              cell: ({ name, limit }) => (
                <>
                  <span className="block min-w-28 break-words">{name}</span>
                  <span className="text-sm text-soft">{t(`field.${limit}`)}</span>
                </>
              ),
            },
            {
              title: t('contract.before'),
              right: true,
              cell: ({ limit, before }) => <span className="text-soft">{textOf(before, limit)}</span>,
            },
            { title: t('contract.after'), right: true, cell: ({ limit, after }) => textOf(after, limit) },
          ]}
        />
      </div>
    </section>
  );
}

function useLimitText(): (limits: Limits, limit: keyof Limits) => string {
  const t = useT();
  const formats = useFormats();
  return (limits, limit) => {
    if (limit === 'models') return limits.models.length === 0 ? t('all') : limits.models.join(', ');
    if (limit === 'budget') {
      const { budget } = limits;
      return budget === null ? t('unlimited') : `${formats.money(budget)} ${windowName(budget.window, t)}`;
    }
    const count = limits[limit];
    return count === null ? t('unlimited') : formats.number(count);
  };
}
