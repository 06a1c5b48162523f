import { Link } from 'wouter';
import type { UsageSum } from '../api/shapes-money.ts';
import { useRead } from '../api/hooks.ts';
import { type Formats } from '../format.ts';
import { useFormats, useRights, useT } from '../context.tsx';
import { addDays, amountOf, daysBetween } from '../format.ts';
import { type Names, useNames } from '../names.ts';
import { Button, Card, Page } from '../parts/basics.tsx';
import { BarChart } from '../parts/chart.tsx';
import { SelectField, TextField } from '../parts/form.tsx';
import { download } from '../parts/secret.tsx';
import { Empty, Shown } from '../parts/states.tsx';
import { type Column, Table } from '../parts/table.tsx';
import { useFilters } from '../search.ts';
import { MarginCard } from './margin.tsx';
import { MEASURES, type Measure, measureOf, seriesBy } from './usage-series.ts';

const SUBJECTS = ['tenant', 'project', 'key', 'model', 'user', 'end_user', 'tag'] as const;
const DAYS_DEFAULT = 30;
/** From so many days on, bars are months. */
const DAYS_MAX = 100;

export default function Usage() {
  const t = useT();
  const formats = useFormats();
  const { agency } = useRights();
  const names = useNames();
  const [get, set] = useFilters();
  const to = get('to') || formats.today();
  const from = get('from') || addDays(to, 1 - DAYS_DEFAULT);
  const subject = SUBJECTS.find((one) => one === get('by')) ?? (agency ? 'tenant' : 'project');
  const measure = MEASURES.find((one) => one === get('measure')) ?? 'price';
  const days = daysBetween(from, to);
  const time = days.length > DAYS_MAX ? 'month' : 'day';
  const labels = time === 'day' ? days : [...new Set(days.map((day) => day.slice(0, 7)))];
  const narrowed = { from, to, tenant_id: get('tenant'), project_id: get('project'), model: get('model') };
  const chart = useRead('GET /api/usage', { query: { ...narrowed, by: `${time},${subject}` }, keep: true });
  const sums = useRead('GET /api/usage', { query: { ...narrowed, by: subject }, keep: true });
  const nameOf = subjectNames(subject, names);
  const format = (value: number) => (measure === 'price' ? formats.money(value) : formats.compact(value));
  return (
    <Page
      title={t('usage')}
      lead={t('usage.lead')}
      actions={
        <Button
          icon="download"
          disabled={sums.data === undefined}
          onClick={() =>
            download(
              `usage-${subject}-${from}-${to}.csv`,
              csvOf(subject, sums.data?.data ?? [], nameOf),
              'text/csv',
            )
          }
        >
          {t('usage.csv')}
        </Button>
      }
    >
      <Card>
        <search className="grid gap-3 pt-2 sm:grid-cols-2 lg:grid-cols-5">
          <TextField
            label={t('from')}
            type="date"
            value={from}
            max={to}
            onText={(value) => set({ from: value })}
          />
          <TextField
            label={t('to')}
            type="date"
            value={to}
            min={from}
            onText={(value) => set({ to: value })}
          />
          <SelectField
            label={t('usage.by')}
            value={subject}
            onText={(value) => set({ by: value })}
            choices={SUBJECTS.filter((one) => agency || one !== 'tenant').map(
              (one) => [one, t(`by.${one}`)] as const,
            )}
          />
          <SelectField
            label={t('usage.measure')}
            value={measure}
            onText={(value) => set({ measure: value })}
            choices={MEASURES.map((one) => [one, t(`measure.${one}`)] as const)}
          />
          {agency && (
            <SelectField
              label={t('tenant')}
              value={get('tenant')}
              onText={(value) => set({ tenant: value, project: null })}
              choices={[['', t('all')], ...names.tenants.map(({ id }) => [id, names.tenant(id)] as const)]}
            />
          )}
        </search>
      </Card>
      <Card title={t(`measure.${measure}`)}>
        <Shown of={chart}>
          {({ data }) =>
            data.length === 0 ? (
              <Empty icon="usage" title={t('usage.none')}>
                {t('usage.none.range')}
              </Empty>
            ) : (
              <BarChart
                title={t(`measure.${measure}`)}
                labels={labels}
                series={seriesBy(data, labels, subject, nameOf, t('others'), measure)}
                format={format}
                formatLabel={time === 'day' ? formats.shortDay : formats.month}
                height={260}
              />
            )
          }
        </Shown>
      </Card>
      <Card flush>
        <Shown of={sums}>
          {({ data }) =>
            data.length > 0 && <Sums sums={data} subject={subject} nameOf={nameOf} measure={measure} />
          }
        </Shown>
      </Card>
      {agency && <MarginCard />}
    </Page>
  );
}

type Subject = (typeof SUBJECTS)[number];

function subjectNames(subject: Subject, names: Names): (id: string | null) => string {
  if (subject === 'tenant') return names.tenant;
  if (subject === 'project') return names.project;
  return (id) => id ?? '–';
}

function Sums({
  sums,
  subject,
  nameOf,
  measure,
}: {
  readonly sums: readonly UsageSum[];
  readonly subject: Subject;
  readonly nameOf: (id: string | null) => string;
  readonly measure: Measure;
}) {
  const t = useT();
  const formats = useFormats();
  const { agency } = useRights();
  const sorted = sums.toSorted((a, b) => measureOf(b, measure) - measureOf(a, measure));
  const columns: readonly Column<UsageSum>[] = [
    {
      title: t(`by.${subject}`),
      wide: true,
      cell: ({ group }) => <Name id={group[subject] ?? null} subject={subject} nameOf={nameOf} />,
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
}: {
  readonly id: string | null;
  readonly subject: Subject;
  readonly nameOf: (id: string | null) => string;
}) {
  const { agency } = useRights();
  const name = nameOf(id);
  const style = 'rounded font-medium break-all hover:underline';
  if (subject === 'key' && id !== null)
    return (
      <Link href={`/keys/${id}`} className={style}>
        {name}
      </Link>
    );
  if (subject === 'tenant' && id !== null && agency)
    return (
      <Link href={`/tenants/${id}`} className={style}>
        {name}
      </Link>
    );
  return <span className="break-all">{name}</span>;
}

/** Exact amounts with a decimal point, as programs read them; a text that begins like a formula is defused. */
function csvOf(subject: Subject, sums: readonly UsageSum[], nameOf: (id: string | null) => string): string {
  const quoted = (text: string) =>
    `"${(/^[=+\-@\t\r]/.test(text) ? `'${text}` : text).replaceAll('"', '""')}"`;
  const head = [
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
