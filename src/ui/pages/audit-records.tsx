import { useState } from 'react';
import { Link } from 'wouter';
import type { Consultation } from '../api/shapes-access.ts';
import { urlOf } from '../api/client.ts';
import { useRead } from '../api/hooks.ts';
import { useT } from '../context.tsx';
import { useNames } from '../names.ts';
import { Card, DownloadLink, Time } from '../parts/basics.tsx';
import { SelectField } from '../parts/form.tsx';
import { Empty, Shown } from '../parts/states.tsx';
import { CursorPager, Table, useCursors } from '../parts/table.tsx';
import type { Word } from '../words/words.ts';

/** What leaves the log, and who looked into it. */
export function bundlePath(scope: 'all' | 'tenant' | 'key' | 'invoice', id?: string): string {
  return urlOf('GET /api/audit/bundles', {}, { scope, id });
}

export function Bundles() {
  const t = useT();
  const names = useNames();
  const [tenant, setTenant] = useState('');
  const customers = names.tenants.map(({ id }) => [id, names.tenant(id)] as const);
  return (
    <Card title={t('bundle.title')}>
      <p className="mb-4 text-soft">{t('bundle.lead')}</p>
      <div className="flex flex-wrap items-end gap-3">
        <div className="min-w-48 flex-1">
          <SelectField
            label={t('bundle.of')}
            value={tenant}
            onText={setTenant}
            choices={[['', t('bundle.all')], ...customers]}
          />
        </div>
        <DownloadLink to={tenant === '' ? bundlePath('all') : bundlePath('tenant', tenant)}>
          {t('bundle.do')}
        </DownloadLink>
      </div>
    </Card>
  );
}

const LOOKED: Readonly<Record<string, Word>> = {
  '/api/audit/keys/:id': 'looked.key',
  '/api/audit/keys/:id/diff': 'looked.key.diff',
  '/api/audit/tenants/:id': 'looked.tenant',
  '/api/audit/tenants/:id/diff': 'looked.tenant.diff',
};

export function Consultations() {
  const t = useT();
  const names = useNames();
  const auditors = useRead('GET /api/audit/credentials');
  const cursors = useCursors();
  const looks = useRead('GET /api/audit/consultations', {
    query: { cursor: cursors.cursor, limit: 20 },
    keep: true,
  });
  const auditorOf = (id: string) => {
    const found = auditors.data?.data.find((one) => one.id === id);
    if (found === undefined) return id;
    const scope = found.scope === 'tenant' ? names.tenant(found.scope_id) : t('access.agency');
    return `${scope} · ${found.key_name}`;
  };
  return (
    <Card title={t('looked.title')} flush>
      <Shown of={looks} rows={3}>
        {({ data, next_cursor: next }) =>
          data.length === 0 ? (
            <Empty icon="search" title={t('looked.none')}>
              {t('looked.none.hint')}
            </Empty>
          ) : (
            <>
              <Table
                caption={t('looked.title')}
                rows={data}
                keyOf={({ position }) => position}
                columns={[
                  { title: t('time'), cell: ({ at }) => <Time at={at} /> },
                  {
                    title: t('looked.who'),
                    from: 'sm',
                    cell: ({ auditor_id: id }) => <div className="min-w-40">{auditorOf(id)}</div>,
                  },
                  {
                    title: t('looked.what'),
                    wide: true,
                    cell: (look) => (
                      <>
                        {LOOKED[look.route] === undefined ? look.route : t(LOOKED[look.route]!)}
                        <span className="block text-sm break-all text-soft">
                          <Subject of={look} />
                        </span>
                      </>
                    ),
                  },
                ]}
              />
              <CursorPager of={cursors} next={next} />
            </>
          )
        }
      </Shown>
    </Card>
  );
}

function Subject({ of: { subject } }: { readonly of: Consultation }) {
  const names = useNames();
  if (subject === null) return null;
  const to = subject.startsWith('key_')
    ? `/keys/${subject}`
    : subject.startsWith('ten_')
      ? `/tenants/${subject}`
      : null;
  if (to === null) return subject;
  return (
    <Link href={to} className="rounded hover:underline">
      {names.tenant(subject)}
    </Link>
  );
}
