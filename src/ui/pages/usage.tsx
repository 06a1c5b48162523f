import { useRead } from '../api/hooks.ts';
import { useFormats, useRights, useT } from '../context.tsx';
import { addDays, daysBetween, type Formats } from '../format.ts';
import { type Names, useNames } from '../names.ts';
import { Button, Card, Page } from '../parts/basics.tsx';
import { BarChart } from '../parts/chart.tsx';
import { SelectField, TextField } from '../parts/form.tsx';
import { Icon } from '../parts/icons.tsx';
import { download } from '../parts/secret.tsx';
import { Empty, Shown } from '../parts/states.tsx';
import { useFilters } from '../search.ts';
import { MarginCard } from './margin.tsx';
import { csvOf } from './usage-csv.ts';
import { labelsOf, MEASURES, seriesBy, type Subject, SUBJECTS, type Time, TIMES } from './usage-series.ts';
import { UsageTable } from './usage-table.tsx';

const DAYS_DEFAULT = 30;
/** From so many days on, bars are months unless somebody wants them otherwise. */
const DAYS_MAX = 100;
const GAP_MS = 5_000;

export default function Usage() {
  const t = useT();
  const formats = useFormats();
  const { agency } = useRights();
  const names = useNames();
  const page = useUsage();
  const { to, from, subject, measure, time, get, set } = page;
  const live = { topics: ['usage'], gapMs: GAP_MS } as const;
  const narrowed = { from, to, ...filtersIn(get) };
  const chart = useRead('GET /api/usage', {
    query: { ...narrowed, by: `${time},${subject}` },
    keep: true,
    live,
  });
  const sums = useRead('GET /api/usage', { query: { ...narrowed, by: subject }, keep: true, live });
  const labels = labelsOf(time, daysBetween(from, to));
  const nameOf = nameIn(subject, names, sums.data?.names ?? {});
  return (
    <Page
      title={t('usage')}
      lead={t('usage.lead')}
      actions={
        <Button
          icon="download"
          disabled={chart.data === undefined}
          onClick={() => {
            const text = csvOf({ time, subject }, chart.data?.data ?? [], nameOf);
            download(`usage-${subject}-${from}-${to}.csv`, text, 'text/csv');
          }}
        >
          {t('usage.csv')}
        </Button>
      }
    >
      <Card>
        <Choices of={page} names={names} />
        <Narrowed get={get} set={set} names={names} known={sums.data?.names ?? {}} />
      </Card>
      {chart.data?.truncated === true && (
        <p role="status" className="rounded-lg bg-warn-tint px-4 py-3 text-warn">
          {t('usage.truncated')}
        </p>
      )}
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
                format={(value) => (measure === 'price' ? formats.money(value) : formats.compact(value))}
                formatLabel={labelIn(time, formats, t)}
                height={260}
              />
            )
          }
        </Shown>
      </Card>
      <Card flush>
        <Shown of={sums}>
          {({ data }) =>
            data.length > 0 && (
              <UsageTable
                sums={data}
                subject={subject}
                nameOf={nameOf}
                measure={measure}
                onNarrow={(id) => set({ [subject]: id, by: nextOf(subject, agency) })}
              />
            )
          }
        </Shown>
      </Card>
      {agency && <MarginCard />}
    </Page>
  );
}

/** What the page shows, as its address says. */
function useUsage() {
  const formats = useFormats();
  const { agency } = useRights();
  const [get, set] = useFilters();
  const to = get('to') || formats.today();
  const from = get('from') || addDays(to, 1 - DAYS_DEFAULT);
  const isLong = daysBetween(from, to).length > DAYS_MAX;
  return {
    get,
    set,
    to,
    from,
    subject: SUBJECTS.find((one) => one === get('by')) ?? (agency ? 'tenant' : 'project'),
    measure: MEASURES.find((one) => one === get('measure')) ?? 'price',
    time: TIMES.find((one) => one === get('time')) ?? (isLong ? 'month' : 'day'),
  } as const;
}

function Choices({ of: page, names }: { readonly of: ReturnType<typeof useUsage>; readonly names: Names }) {
  const t = useT();
  const { agency } = useRights();
  const { to, from, subject, measure, time, get, set } = page;
  return (
    <search className="grid grid-cols-2 gap-3 pt-2 lg:grid-cols-6">
      <TextField
        label={t('from')}
        type="date"
        value={from}
        max={to}
        onText={(value) => set({ from: value })}
      />
      <TextField label={t('to')} type="date" value={to} min={from} onText={(value) => set({ to: value })} />
      <SelectField
        label={t('usage.time')}
        value={time}
        onText={(value) => set({ time: value })}
        choices={TIMES.map((one) => [one, t(`time.${one}`)] as const)}
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
  );
}

/** Filters that have no field of their own: they come from a name that somebody pressed. */
function Narrowed({
  get,
  set,
  names,
  known,
}: {
  readonly get: (name: string) => string;
  readonly set: ReturnType<typeof useUsage>['set'];
  readonly names: Names;
  readonly known: Readonly<Record<string, string>>;
}) {
  const t = useT();
  const shown = SUBJECTS.filter((subject) => subject !== 'tenant' && get(subject) !== '');
  if (shown.length === 0) return null;
  return (
    <ul className="mt-4 flex flex-wrap gap-2">
      {shown.map((subject) => {
        const values = { what: t(`by.${subject}`), name: nameIn(subject, names, known)(get(subject)) };
        return (
          <li key={subject}>
            <button
              type="button"
              aria-label={t('usage.widen', values)}
              onClick={() => set({ [subject]: null })}
              className="inline-flex min-h-9 items-center gap-2 rounded-full bg-tint px-3.5 font-medium text-accent"
            >
              {t('usage.only', values)}
              <Icon name="close" className="size-4" />
            </button>
          </li>
        );
      })}
    </ul>
  );
}

function filtersIn(get: (name: string) => string) {
  return {
    tenant_id: get('tenant'),
    project_id: get('project'),
    key_id: get('key'),
    user_id: get('user'),
    model: get('model'),
    end_user: get('end_user'),
    tag: get('tag'),
  };
}

/** Where looking closer goes on. */
function nextOf(subject: Subject, agency: boolean): Subject {
  if (subject === 'project' || subject === 'user') return 'key';
  return agency ? 'tenant' : 'project';
}

function nameIn(subject: Subject, names: Names, known: Readonly<Record<string, string>>) {
  if (subject === 'tenant') return names.tenant;
  if (subject === 'project') return names.project;
  return (id: string | null) => (id === null ? '–' : (known[id] ?? id));
}

function labelIn(time: Time, formats: Formats, t: ReturnType<typeof useT>): (label: string) => string {
  if (time === 'month') return formats.month;
  if (time === 'week') return (label) => t('usage.week', { day: formats.shortDay(label) });
  return formats.shortDay;
}
