import { Link } from 'wouter';
import type { UsageSum } from '../api/shapes-money.ts';
import { useFormats, useRights, useT } from '../context.tsx';
import { amountOf, type Formats } from '../format.ts';
import { type Column, Table } from '../parts/table.tsx';
import { type Measure, measureOf, type Subject } from './usage-series.ts';

/** What each of them used; its name leads to it, or narrows the page down to it. */
export function UsageTable({
  sums,
  subject,
  nameOf,
  measure,
  onNarrow,
}: {
  readonly sums: readonly UsageSum[];
  readonly subject: Subject;
  readonly nameOf: (id: string | null) => string;
  readonly measure: Measure;
  readonly onNarrow: (id: string) => void;
}) {
  const t = useT();
  const formats = useFormats();
  const { agency } = useRights();
  const sorted = sums.toSorted((a, b) => measureOf(b, measure) - measureOf(a, measure));
  const columns: readonly Column<UsageSum>[] = [
    {
      title: t(`by.${subject}`),
      wide: true,
      cell: ({ group }) => (
        <Name id={group[subject] ?? null} subject={subject} nameOf={nameOf} onNarrow={onNarrow} />
      ),
    },
    { title: t('figure.requests'), right: true, cell: ({ requests }) => formats.number(requests) },
    { title: t('figure.failed'), right: true, from: 'lg', cell: ({ failed }) => formats.number(failed) },
    {
      title: t('tokens.in'),
      right: true,
      from: 'md',
      cell: ({ input_tokens: tokens }) => formats.compact(tokens),
    },
    {
      title: t('tokens.out'),
      right: true,
      from: 'md',
      cell: ({ output_tokens: tokens }) => formats.compact(tokens),
    },
    ...(agency ? costColumns(formats, t('cost'), t('figure.margin')) : []),
    { title: t('measure.price'), right: true, cell: ({ price }) => formats.money(price) },
  ];
  return (
    <Table caption={t('usage')} columns={columns} rows={sorted} keyOf={({ group }) => group[subject] ?? ''} />
  );
}

function costColumns(formats: Formats, cost: string, margin: string): readonly Column<UsageSum>[] {
  return [
    {
      title: cost,
      right: true,
      from: 'sm',
      cell: (sum) => (sum.cost === null ? '–' : formats.money(sum.cost)),
    },
    {
      title: margin,
      right: true,
      from: 'lg',
      cell: (sum) => formats.money(amountOf(sum.price) - amountOf(sum.cost)),
    },
  ];
}

function Name({
  id,
  subject,
  nameOf,
  onNarrow,
}: {
  readonly id: string | null;
  readonly subject: Subject;
  readonly nameOf: (id: string | null) => string;
  readonly onNarrow: (id: string) => void;
}) {
  const { agency } = useRights();
  const name = nameOf(id);
  const style = 'rounded text-left font-medium wrap-anywhere hover:underline';
  if (id === null) return <span className="text-soft">–</span>;
  const page = subject === 'key' ? `/keys/${id}` : subject === 'tenant' && agency ? `/tenants/${id}` : null;
  if (page !== null)
    return (
      <Link href={page} className={style}>
        {name}
      </Link>
    );
  return (
    <button type="button" className={style} onClick={() => onNarrow(id)}>
      {name}
    </button>
  );
}
