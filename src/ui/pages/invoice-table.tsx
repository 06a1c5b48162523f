import { Link } from 'wouter';
import type { Invoice } from '../api/shapes-money.ts';
import { useFormats, useT } from '../context.tsx';
import { useNames } from '../names.ts';
import { Status } from '../parts/basics.tsx';
import { Empty } from '../parts/states.tsx';
import { type Column, Table } from '../parts/table.tsx';

export function InvoiceTable({
  rows,
  withTenant = true,
}: {
  readonly rows: readonly Invoice[];
  readonly withTenant?: boolean;
}) {
  const t = useT();
  const formats = useFormats();
  const names = useNames();
  if (rows.length === 0)
    return (
      <Empty icon="invoices" title={t('invoices.none')}>
        {t('invoices.none.hint')}
      </Empty>
    );
  const columns: readonly Column<Invoice>[] = [
    {
      title: t('invoice.number'),
      wide: !withTenant,
      cell: ({ id, number }) => (
        <Link href={`/invoices/${id}`} className="num rounded font-medium hover:underline">
          {number ?? t('status.draft')}
        </Link>
      ),
    },
    ...(withTenant
      ? [
          {
            title: t('tenant'),
            wide: true,
            from: 'sm',
            cell: (row: Invoice) => names.tenant(row.tenant_id),
          } as const,
        ]
      : []),
    {
      title: t('period'),
      from: 'md',
      cell: ({ period }) => <span className="whitespace-nowrap">{formats.month(period)}</span>,
    },
    {
      title: t('invoice.due'),
      from: 'lg',
      cell: ({ due_on: due }) => (due === null ? '–' : <span className="num">{formats.day(due)}</span>),
    },
    { title: t('invoice.gross'), right: true, cell: ({ gross }) => formats.money(gross) },
    { title: t('status'), cell: ({ status }) => <Status of={status} /> },
  ];
  return <Table caption={t('invoices')} columns={columns} rows={rows} keyOf={({ id }) => id} />;
}
