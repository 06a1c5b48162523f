import { Link } from 'wouter';
import type { Key as KeyFacts } from '../api/shapes-keys.ts';
import { useRead } from '../api/hooks.ts';
import { useFormats, useRights, useT } from '../context.tsx';
import { addDays, daysBetween } from '../format.ts';
import { useNames } from '../names.ts';
import { Card, Facts, Page, Time } from '../parts/basics.tsx';
import { BarChart } from '../parts/chart.tsx';
import { Empty, Shown } from '../parts/states.tsx';
import { useFilters } from '../search.ts';
import { KeyActions } from './key-actions.tsx';
import { KeyHistory } from './key-history.tsx';
import { KeyLevels } from './key-levels.tsx';
import { KeyStatus } from './keys.tsx';
import { seriesBy } from './usage-series.ts';

const DAYS = 30;
const TABS = ['now', 'history'] as const;

export default function Key({ id }: { readonly id: string }) {
  const t = useT();
  const { admin } = useRights();
  const [get, set] = useFilters();
  // A deleted key is known to its history alone.
  const info = useRead('GET /key/info', { params: {}, query: { key: id } });
  const gone = info.error?.status === 404;
  const tab = admin && (get('tab') === 'history' || gone) ? 'history' : 'now';
  const tabs = admin && !gone && (
    <div className="flex gap-1 border-b border-line">
      {TABS.map((one) => (
        <button
          key={one}
          type="button"
          aria-current={tab === one ? 'page' : undefined}
          onClick={() => set({ tab: one === 'now' ? null : one, at: null })}
          className={`-mb-px border-b-2 px-4 py-2 font-medium ${tab === one ? 'border-accent text-accent' : 'border-transparent text-soft hover:text-ink'}`}
        >
          {t(`key.tab.${one}`)}
        </button>
      ))}
    </div>
  );
  if (gone && admin)
    return (
      <Page title={id} back={{ to: '/keys', label: t('keys') }} lead={t('key.gone')}>
        <KeyHistory id={id} />
      </Page>
    );
  return (
    <Shown of={info}>
      {({ info: key }) => (
        <Page
          title={key.key_alias ?? key.key_id}
          back={{ to: '/keys', label: t('keys') }}
          lead={
            <span className="flex flex-wrap items-center gap-x-3 gap-y-1">
              <KeyStatus of={key} />
              <code className="font-mono text-sm">{key.key_name}</code>
              <code className="font-mono text-sm break-all">{key.key_id}</code>
            </span>
          }
          actions={<KeyActions of={key} />}
        >
          {tabs}
          {tab === 'history' ? <KeyHistory id={key.key_id} /> : <Now of={key} />}
        </Page>
      )}
    </Shown>
  );
}

function Now({ of: key }: { readonly of: KeyFacts }) {
  const t = useT();
  return (
    <div className="grid items-start gap-5 xl:grid-cols-[3fr_2fr]">
      <div className="flex min-w-0 flex-col gap-5">
        <KeyLevels id={key.key_id} />
        <Spend id={key.key_id} />
      </div>
      <Card title={t('key.facts')}>
        <About of={key} />
      </Card>
    </div>
  );
}

function About({ of: key }: { readonly of: KeyFacts }) {
  const t = useT();
  const formats = useFormats();
  const names = useNames();
  const { agency } = useRights();
  const tenant = names.tenant(key.organization_id);
  return (
    <Facts
      items={[
        [
          t('tenant'),
          agency && key.organization_id !== null ? (
            <Link
              key="tenant"
              href={`/tenants/${key.organization_id}`}
              className="rounded text-accent hover:underline"
            >
              {tenant}
            </Link>
          ) : (
            tenant
          ),
        ],
        [t('project'), names.project(key.team_id)],
        [t('environment'), key.environment ?? '–'],
        [t('key.spent'), formats.money(key.spend)],
        [t('models'), key.models.length === 0 ? t('key.models.all') : key.models.join(', ')],
        [t('key.expires'), key.expires === null ? t('never') : <Time key="expires" at={key.expires} />],
        [t('key.used'), <Time key="used" at={key.last_active} />],
        [t('key.created'), <Time key="created" at={key.created_at} />],
        [t('key.by'), key.created_by === 'default_user_id' ? t('administrator') : key.created_by],
        [
          t('key.rotations'),
          key.rotation_count === 0 ? (
            '–'
          ) : (
            <span key="rotations">
              {formats.number(key.rotation_count)} · <Time at={key.last_rotation_at} />
            </span>
          ),
        ],
        [t('user'), key.user_id ?? '–'],
        [t('tags'), key.tags.length === 0 ? '–' : key.tags.join(', ')],
      ]}
    />
  );
}

function Spend({ id }: { readonly id: string }) {
  const t = useT();
  const formats = useFormats();
  const to = formats.today();
  const from = addDays(to, 1 - DAYS);
  const days = daysBetween(from, to);
  const usage = useRead('GET /api/usage', { query: { by: 'day,model', key_id: id, from, to } });
  return (
    <Card
      title={t('overview.spend')}
      action={
        <Link href={`/requests?key=${id}`} className="rounded text-accent hover:underline">
          {t('requests')}
        </Link>
      }
    >
      <Shown of={usage}>
        {({ data }) =>
          data.length === 0 ? (
            <Empty icon="usage" title={t('usage.none')} />
          ) : (
            <BarChart
              title={t('overview.spend')}
              labels={days}
              series={seriesBy(data, days, 'model', (model) => model ?? '–', t('others'))}
              format={(value) => formats.money(value)}
              formatLabel={formats.shortDay}
              height={190}
            />
          )
        }
      </Shown>
    </Card>
  );
}
