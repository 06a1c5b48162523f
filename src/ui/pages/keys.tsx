import { useEffect, useState } from 'react';
import { Link } from 'wouter';
import type { Key } from '../api/shapes-keys.ts';
import { useRead } from '../api/hooks.ts';
import { useFormats, useRights, useT } from '../context.tsx';
import { type Names, useNames } from '../names.ts';
import { amountOf } from '../format.ts';
import { Button, Card, Meter, Page, Status, Time } from '../parts/basics.tsx';
import { SelectField, TextField } from '../parts/form.tsx';
import { Empty, Shown } from '../parts/states.tsx';
import { type Column, Pager, Table } from '../parts/table.tsx';
import { useFilters } from '../search.ts';
import { KeyForm } from './key-form.tsx';
import { windowName } from './limit-table.tsx';

const PAGE_SIZE = 50;
const TYPING_MS = 250;

/** All keys that one may see, a page at a time: the server sorts and filters, so ten or a million make no difference. */
export default function Keys() {
  const t = useT();
  const formats = useFormats();
  const { makesKeys } = useRights();
  const names = useNames();
  const [get, set] = useFilters();
  const [making, setMaking] = useState(false);
  const page = Number(get('page')) || 1;
  const keys = useRead('GET /key/list', {
    query: {
      return_full_object: 'true',
      include_team_keys: 'true',
      include_credentials: 'false',
      page,
      size: PAGE_SIZE,
      key_alias: get('alias'),
      organization_id: get('tenant'),
      team_id: get('project'),
      status: get('status'),
      sort_by: get('sort') || 'created_at',
      sort_order: get('sort') === 'key_alias' ? 'asc' : 'desc',
    },
    keep: true,
  });
  const make = (
    <Button kind="primary" icon="plus" onClick={() => setMaking(true)}>
      {t('key.make')}
    </Button>
  );
  const filtered = ['alias', 'tenant', 'project', 'status'].some((name) => get(name) !== '');
  return (
    <Page title={t('keys')} lead={t('keys.lead')} actions={makesKeys ? make : undefined}>
      <Card flush>
        <Filters names={names} />
        <Shown of={keys} rows={8}>
          {(data) =>
            data.keys.length === 0 ? (
              filtered ? (
                <Empty
                  icon="search"
                  title={t('search.none')}
                  action={
                    <Button
                      onClick={() =>
                        set({ alias: null, tenant: null, project: null, status: null, page: null })
                      }
                    >
                      {t('search.clear')}
                    </Button>
                  }
                />
              ) : (
                <Empty icon="keys" title={t('keys.none')} action={makesKeys ? make : undefined}>
                  {t('keys.none.hint')}
                </Empty>
              )
            ) : (
              <div aria-busy={keys.isPlaceholderData} className={keys.isPlaceholderData ? 'opacity-60' : ''}>
                <KeyTable keys={data.keys} names={names} />
                <Pager
                  page={data.current_page}
                  pages={data.total_pages}
                  total={t('keys.count', { count: formats.number(data.total_count) })}
                  onPage={(next) => set({ page: String(next) })}
                />
              </div>
            )
          }
        </Shown>
      </Card>
      {making && <KeyForm onClose={() => setMaking(false)} projectId={get('project')} />}
    </Page>
  );
}

function Filters({ names }: { readonly names: Names }) {
  const t = useT();
  const [get, set] = useFilters();
  const shown = get('alias');
  const [typed, setTyped] = useState(shown);
  useEffect(() => setTyped(shown), [shown]);
  useEffect(() => {
    if (typed === shown) return undefined;
    const timer = setTimeout(() => set({ alias: typed, page: null }, { replace: true }), TYPING_MS);
    return () => clearTimeout(timer);
  }, [typed, shown, set]);
  const tenant = get('tenant');
  const projects = names.projects.filter(({ tenant_id: id }) => tenant === '' || id === tenant);
  return (
    <search className="grid grid-cols-2 gap-3 px-5 pt-4 pb-3 lg:grid-cols-5">
      <div className="col-span-2 lg:col-span-1">
        <TextField label={t('key.alias')} type="search" value={typed} onText={setTyped} />
      </div>
      {names.tenants.length > 1 && (
        <SelectField
          label={t('tenant')}
          value={tenant}
          onText={(value) => set({ tenant: value, project: null, page: null })}
          choices={[
            ['', t('all')],
            ...names.tenants
              .map(({ id }) => [id, names.tenant(id)] as const)
              .toSorted((a, b) => a[1].localeCompare(b[1])),
          ]}
        />
      )}
      <SelectField
        label={t('project')}
        value={get('project')}
        onText={(value) => set({ project: value, page: null })}
        choices={[['', t('all')], ...projects.map(({ id }) => [id, names.project(id)] as const)]}
      />
      <SelectField
        label={t('status')}
        value={get('status')}
        onText={(value) => set({ status: value, page: null })}
        choices={[
          ['', t('keys.live')],
          ['deleted', t('status.deleted')],
        ]}
      />
      <SelectField
        label={t('sort')}
        value={get('sort')}
        onText={(value) => set({ sort: value, page: null })}
        choices={[
          ['', t('sort.newest')],
          ['spend', t('sort.spend')],
          ['key_alias', t('sort.alias')],
        ]}
      />
    </search>
  );
}

function KeyTable({ keys, names }: { readonly keys: readonly Key[]; readonly names: Names }) {
  const t = useT();
  const formats = useFormats();
  // A key with a budget shows what it spent in the window that runs, the others what they spent in all.
  const limited = keys.filter(({ max_budget: budget }) => budget !== null).map(({ key_id: id }) => id);
  const budgets = useRead('GET /api/key-budgets', {
    query: { ids: limited.join(',') },
    enabled: limited.length > 0,
    keep: true,
  });
  const columns: readonly Column<Key>[] = [
    {
      title: t('key'),
      wide: true,
      cell: (key) => (
        <>
          <Link
            href={`/keys/${key.key_id}`}
            className="rounded font-medium [overflow-wrap:anywhere] hover:underline"
          >
            {key.key_alias ?? key.key_id}
          </Link>
          <span className="block font-mono text-[0.8rem] text-soft">{key.key_name}</span>
        </>
      ),
    },
    {
      title: t('tenant'),
      from: 'md',
      cell: (key) => (
        <div className="min-w-44 2xl:min-w-56">
          {names.tenant(key.organization_id)}
          <span className="block text-sm text-soft">{names.project(key.team_id)}</span>
        </div>
      ),
    },
    { title: t('environment'), from: 'lg', cell: ({ environment }) => environment ?? '–' },
    {
      title: t('figure.spend'),
      right: true,
      from: 'sm',
      cell: (key) => {
        const within = budgets.data?.data.find(({ key_id: id }) => id === key.key_id);
        return (
          <div className="ml-auto flex w-28 flex-col items-end gap-1">
            {formats.money(within?.spent ?? key.spend)}
            {within !== undefined && (
              <Meter
                used={amountOf(within.spent)}
                of={amountOf(within.budget)}
                label={t('meter.budget', { name: key.key_alias ?? key.key_id })}
              />
            )}
          </div>
        );
      },
    },
    {
      title: t('budget'),
      right: true,
      from: 'lg',
      cell: ({ max_budget: budget, budget_duration: window }) =>
        budget === null ? (
          '–'
        ) : (
          <>
            {formats.money(budget, { whole: budget >= 1 })}
            <span className="block text-sm text-soft">{windowName(window, t)}</span>
          </>
        ),
    },
    { title: t('key.used'), from: 'xl', cell: (key) => <Time at={key.last_active} /> },
    { title: t('key.expires'), from: 'xl', cell: (key) => <Time at={key.expires} as="date" /> },
    { title: t('status'), cell: (key) => <KeyStatus of={key} /> },
  ];
  return <Table caption={t('keys')} columns={columns} rows={keys} keyOf={({ key_id }) => key_id} />;
}

export function KeyStatus({ of: key }: { readonly of: Key }) {
  const expired = key.status === 'active' && key.expires !== null && Date.parse(key.expires) <= Date.now();
  return <Status of={expired ? 'expired' : key.status} />;
}
