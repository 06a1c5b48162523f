import { Link } from 'wouter';
import type {
  AttentionExpiring,
  AttentionScope,
  AttentionTight,
  InvoiceSum,
  Money,
  Usage,
} from '../api/shapes-money.ts';
import type { Readiness } from '../api/shapes-people.ts';
import { useRead } from '../api/hooks.ts';
import { useFormats, useRights, useT } from '../context.tsx';
import { addDays, amountOf, daysBetween } from '../format.ts';
import { useNames } from '../names.ts';
import { Badge, Card, Figure, Meter, Page, Status, Time } from '../parts/basics.tsx';
import { LiveBadge } from '../parts/live.tsx';
import { BarChart } from '../parts/chart.tsx';
import { Empty, Shown } from '../parts/states.tsx';
import { seriesBy } from './usage-series.ts';

const DAYS = 30;
/** Sums over many requests are not asked for with every single one. */
const GAP_MS = 3_000;

export default function Overview() {
  const t = useT();
  const formats = useFormats();
  const { agency } = useRights();
  const names = useNames();
  const to = formats.today();
  const from = addDays(to, 1 - DAYS);
  const by = agency ? 'day,tenant' : 'day,project';
  const usage = useRead('GET /api/usage', {
    query: { by, from, to },
    live: { topics: ['usage'], gapMs: GAP_MS },
  });
  const overview = useRead('GET /api/overview', {
    live: { topics: ['usage', 'keys', 'tenants', 'invoices'], gapMs: GAP_MS },
  });
  const nameOf = agency ? names.tenant : names.project;
  const days = daysBetween(from, to);
  return (
    <Page
      title={t('overview')}
      lead={
        <span className="flex flex-wrap items-center gap-3">
          {t('overview.lead', { days: DAYS })} <LiveBadge />
        </span>
      }
    >
      <Shown of={usage} rows={3}>
        {(data) => <Figures usage={data} agency={agency} />}
      </Shown>
      <Card
        title={t('overview.spend')}
        action={
          <Link href="/usage" className="rounded text-accent hover:underline">
            {t('overview.all')}
          </Link>
        }
      >
        <Shown of={usage}>
          {(data) =>
            data.data.length === 0 ? (
              <Empty icon="usage" title={t('usage.none')}>
                {t('usage.none.hint')}
              </Empty>
            ) : (
              <BarChart
                title={t('overview.spend')}
                labels={days}
                series={seriesBy(data.data, days, agency ? 'tenant' : 'project', nameOf, t('others'))}
                format={(value) => formats.money(value)}
                formatLabel={formats.shortDay}
              />
            )
          }
        </Shown>
      </Card>
      <Shown of={overview}>
        {(data) => (
          <div className="grid gap-5 lg:grid-cols-2">
            <NearBudget keys={data.tight} scopes={data.tight_scopes} />
            <ExpiringKeys keys={data.expiring} />
            <OpenInvoices sums={data.invoices} />
            {agency && <State />}
          </div>
        )}
      </Shown>
    </Page>
  );
}

function Figures({ usage, agency }: { readonly usage: Usage; readonly agency: boolean }) {
  const t = useT();
  const formats = useFormats();
  const sums = usage.data.reduce(
    (sum, one) => ({
      requests: sum.requests + one.requests,
      failed: sum.failed + one.failed,
      tokens: sum.tokens + one.input_tokens + one.output_tokens,
      price: sum.price + amountOf(one.price),
      cost: sum.cost + amountOf(one.cost),
    }),
    { requests: 0, failed: 0, tokens: 0, price: 0, cost: 0 },
  );
  const margin = sums.price - sums.cost;
  return (
    <div className="grid grid-cols-2 gap-3 lg:grid-cols-4">
      <Figure
        label={t('figure.spend')}
        value={formats.money(sums.price)}
        to="/usage"
        note={t('figure.spend.note')}
      />
      {agency ? (
        <Figure
          label={t('figure.margin')}
          value={formats.money(margin)}
          to="/usage?by=tenant"
          note={
            sums.price > 0 ? t('figure.margin.note', { share: formats.percent(margin / sums.price) }) : ''
          }
        />
      ) : (
        <Figure label={t('figure.tokens')} value={formats.compact(sums.tokens)} to="/usage?measure=tokens" />
      )}
      <Figure
        label={t('figure.requests')}
        value={formats.compact(sums.requests)}
        to="/requests"
        note={t('figure.tokens.note', { tokens: formats.compact(sums.tokens) })}
      />
      <Figure
        label={t('figure.failed')}
        value={formats.compact(sums.failed)}
        to="/requests?outcome=failed"
        note={
          sums.requests > 0
            ? t('figure.failed.note', { share: formats.percent(sums.failed / sums.requests) })
            : ''
        }
      />
    </div>
  );
}

interface Tight {
  readonly id: string;
  readonly name: string;
  /** What it is, and whose. */
  readonly note: string;
  readonly to: string;
  readonly spent: Money;
  readonly budget: Money;
}

/** Tenants first, then projects, then single keys: the wider the budget, the more stops with it. */
function NearBudget({ keys, scopes }: Pick<Attention, 'keys' | 'scopes'>) {
  const t = useT();
  const formats = useFormats();
  const names = useNames();
  const { agency } = useRights();
  const usageOf = (kind: string, id: string) =>
    kind === 'project' ? `/usage?by=key&project=${id}` : '/usage?by=key';
  const rows: readonly Tight[] = [
    ...scopes.map(({ kind, id, tenant_id: tenant, spent, budget }) => ({
      id,
      name: kind === 'tenant' ? names.tenant(id) : names.project(id),
      note: kind === 'tenant' ? t('tenant') : `${t('project')} · ${names.tenant(tenant)}`,
      to: agency ? `/tenants/${tenant}` : usageOf(kind, id),
      spent,
      budget,
    })),
    ...keys.map(({ key_id: id, alias, tenant_id: tenant, spent, budget }) => ({
      id,
      name: alias ?? id,
      note: `${t('key')} · ${names.tenant(tenant)}`,
      to: `/keys/${id}`,
      spent,
      budget,
    })),
  ];
  return (
    <Card title={t('overview.tight')} flush>
      {rows.length === 0 ? (
        <Empty icon="check" title={t('overview.tight.none')} />
      ) : (
        <ul className="divide-y divide-line">
          {rows.map(({ id, name, note, to, spent, budget }) => (
            <li key={id} className="flex flex-col gap-1.5 px-5 py-3">
              <div className="flex items-baseline justify-between gap-3">
                <Link href={to} className="truncate rounded font-medium hover:underline">
                  {name}
                </Link>
                <span className="num text-sm text-soft">
                  {formats.money(spent)} / {formats.money(budget)}
                </span>
              </div>
              <Meter used={amountOf(spent)} of={amountOf(budget)} label={t('meter.budget', { name })} />
              <span className="text-sm text-soft">{note}</span>
            </li>
          ))}
        </ul>
      )}
    </Card>
  );
}

interface Attention {
  readonly keys: readonly AttentionTight[];
  readonly scopes: readonly AttentionScope[];
}

function ExpiringKeys({ keys }: { readonly keys: readonly AttentionExpiring[] }) {
  const t = useT();
  const names = useNames();
  return (
    <Card title={t('overview.expiring')} flush>
      {keys.length === 0 ? (
        <Empty icon="clock" title={t('overview.expiring.none')} />
      ) : (
        <ul className="divide-y divide-line">
          {keys.map((key) => (
            <li key={key.key_id} className="flex items-baseline justify-between gap-3 px-5 py-3">
              <span className="min-w-0">
                <Link href={`/keys/${key.key_id}`} className="rounded font-medium hover:underline">
                  {key.alias ?? key.key_id}
                </Link>
                <span className="block truncate text-sm text-soft">{names.tenant(key.tenant_id)}</span>
              </span>
              <Time at={key.expires_at} />
            </li>
          ))}
        </ul>
      )}
    </Card>
  );
}

function OpenInvoices({ sums }: { readonly sums: readonly InvoiceSum[] }) {
  const t = useT();
  const formats = useFormats();
  const rights = useRights();
  if (!rights.agency && !rights.leads) return null;
  return (
    <Card title={t('invoices')} flush>
      {sums.length === 0 ? (
        <Empty icon="invoices" title={t('invoices.none')} />
      ) : (
        <ul className="divide-y divide-line">
          {sums.map(({ status, count, gross }) => (
            <li key={`${status} ${gross.currency}`}>
              <Link
                href={`/invoices?status=${status}`}
                className="flex items-center justify-between gap-3 px-5 py-3 hover:bg-sunken/60"
              >
                <Status of={status} />
                <span className="num text-soft">{t('invoices.count', { count })}</span>
                <span className="num w-32 text-right font-medium">{formats.money(gross)}</span>
              </Link>
            </li>
          ))}
        </ul>
      )}
    </Card>
  );
}

function State() {
  const t = useT();
  const readiness = useRead('GET /health/readiness', {
    live: { topics: ['health', 'usage', 'keys'], gapMs: GAP_MS },
  });
  const models = useRead('GET /health', { live: { topics: ['health', 'models'] } });
  return (
    <Card title={t('state')}>
      <Shown of={readiness} rows={3}>
        {(data) => (
          <ul className="flex flex-col gap-2.5">
            <Check
              to="/audit"
              good={data.db === 'connected'}
              label={t('state.log')}
              note={t('state.position', { position: data.position })}
            />
            <Check
              to="/audit"
              good={stoppedIn(data) === null && lagOf(data) < 1_000}
              label={t('state.models')}
              note={stoppedIn(data) ?? t('state.lag', { lag: lagOf(data) })}
            />
            <Check
              to="/models"
              good={(models.data?.unhealthy_endpoints.length ?? 0) === 0}
              label={t('models')}
              note={t('state.deployments', { count: models.data?.healthy_endpoints.length ?? '–' })}
            />
          </ul>
        )}
      </Shown>
    </Card>
  );
}

function lagOf({ projections }: Readiness): number {
  return Math.max(0, ...projections.map(({ lag }) => lag));
}

/** The first read model that stands still, and why; null when none does. */
function stoppedIn({ projections }: Readiness): string | null {
  const stopped = projections.find(({ error }) => error !== null);
  return stopped === undefined ? null : `${stopped.name}: ${stopped.error ?? ''}`;
}

function Check({
  to,
  good,
  label,
  note,
}: {
  /** Page with more about it. */
  readonly to: string;
  readonly good: boolean;
  readonly label: string;
  readonly note: string;
}) {
  const t = useT();
  return (
    <li className="flex items-center justify-between gap-3">
      <span className="min-w-0">
        <Link href={to} className="rounded hover:underline">
          {label}
        </Link>
        <span className="block text-sm break-words text-soft">{note}</span>
      </span>
      <Badge tone={good ? 'good' : 'bad'}>{good ? t('state.good') : t('state.bad')}</Badge>
    </li>
  );
}
