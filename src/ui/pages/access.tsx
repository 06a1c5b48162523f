import { useState } from 'react';
import type { Auditor, Credential } from '../api/shapes-access.ts';
import { useRead, useWrite } from '../api/hooks.ts';
import { useRights, useT } from '../context.tsx';
import { useNames } from '../names.ts';
import { Button, Card, Page, Status, Time } from '../parts/basics.tsx';
import { Confirm } from '../parts/confirm.tsx';
import { Empty, Shown } from '../parts/states.tsx';
import { type Column, Table } from '../parts/table.tsx';
import { isWord } from '../words/words.ts';
import { AppointAuditor, MakeCredential } from './access-forms.tsx';

/** Who else has a secret of this API: programs in a role, and auditors. */
export default function Access() {
  const t = useT();
  return (
    <Page title={t('access')} lead={t('access.lead')}>
      <Credentials />
      <Auditors />
    </Page>
  );
}

function Credentials() {
  const t = useT();
  const { admin } = useRights();
  const names = useNames();
  const credentials = useRead('GET /api/credentials');
  const [making, setMaking] = useState(false);
  const [revoking, setRevoking] = useState<Credential | null>(null);
  const make = admin && (
    <Button kind="primary" icon="plus" onClick={() => setMaking(true)}>
      {t('credential.make')}
    </Button>
  );
  const columns: readonly Column<Credential>[] = [
    {
      title: t('name'),
      wide: true,
      cell: (one) => (
        <>
          <span className="font-medium">{one.name ?? one.id}</span>
          <span className="block font-mono text-[0.8rem] text-soft">{one.key_name}</span>
        </>
      ),
    },
    {
      title: t('role'),
      cell: ({ role }) => (
        <div className="sm:min-w-44">
          {isWord(`role.${role}`) ? t(`role.${role}` as 'role.org_admin') : role}
        </div>
      ),
    },
    {
      title: t('access.scope'),
      from: 'md',
      cell: ({ tenant_id: id }) => (
        <div className="min-w-44">{id === null ? t('access.agency') : names.tenant(id)}</div>
      ),
    },
    { title: t('since'), from: 'lg', cell: ({ created_at: at }) => <Time at={at} as="date" /> },
    { title: t('access.expires'), from: 'sm', cell: (one) => <Expiry at={one.expires_at} /> },
  ];
  const actions: Column<Credential> = {
    title: t('actions'),
    right: true,
    cell: (one) => (
      <Button
        kind="quiet"
        aria-label={t('credential.revoke.of', { name: one.name ?? one.id })}
        onClick={() => setRevoking(one)}
      >
        {t('credential.revoke')}
      </Button>
    ),
  };
  return (
    <Card title={t('credential.title')} action={make} flush>
      <Shown of={credentials} rows={3}>
        {({ data }) =>
          data.length === 0 ? (
            <Empty icon="keys" title={t('credential.none')}>
              {t('credential.none.hint')}
            </Empty>
          ) : (
            <Table
              caption={t('credential.title')}
              rows={data}
              keyOf={({ id }) => id}
              columns={admin ? [...columns, actions] : columns}
            />
          )
        }
      </Shown>
      {making && <MakeCredential onClose={() => setMaking(false)} />}
      {revoking !== null && <Revoke of={revoking} onClose={() => setRevoking(null)} />}
    </Card>
  );
}

function Expiry({ at }: { readonly at: string | null }) {
  const t = useT();
  return at === null ? t('never') : <Time at={at} as="date" />;
}

function Revoke({ of: one, onClose }: { readonly of: Credential; readonly onClose: () => void }) {
  const t = useT();
  const revoke = useWrite('DELETE /api/credentials/:id', onClose);
  return (
    <Confirm
      title={t('credential.revoke.title', { name: one.name ?? one.id })}
      action={t('credential.revoke')}
      of={revoke}
      onConfirm={() => revoke.mutate({ params: { id: one.id } })}
      onClose={onClose}
    >
      <p>{t('credential.revoke.effect')}</p>
    </Confirm>
  );
}

function Auditors() {
  const t = useT();
  const { admin } = useRights();
  const names = useNames();
  const auditors = useRead('GET /api/audit/credentials');
  const [appointing, setAppointing] = useState(false);
  const [dismissing, setDismissing] = useState<Auditor | null>(null);
  const appoint = admin && (
    <Button kind="primary" icon="plus" onClick={() => setAppointing(true)}>
      {t('auditor.appoint')}
    </Button>
  );
  const columns: readonly Column<Auditor>[] = [
    {
      title: t('access.scope'),
      wide: true,
      cell: (one) => (
        <>
          <span className="font-medium">
            {one.scope === 'tenant' ? names.tenant(one.scope_id) : t('access.agency')}
          </span>
          <span className="block font-mono text-[0.8rem] text-soft">{one.key_name}</span>
        </>
      ),
    },
    { title: t('since'), from: 'lg', cell: ({ appointed_at: at }) => <Time at={at} as="date" /> },
    { title: t('access.expires'), from: 'md', cell: (one) => <Expiry at={one.expires_at} /> },
    { title: t('auditor.uses'), right: true, from: 'sm', cell: ({ consultations: count }) => count },
    { title: t('key.used'), from: 'lg', cell: ({ last_consulted_at: at }) => <Time at={at} /> },
    { title: t('status'), cell: ({ status }) => <Status of={status} /> },
  ];
  const actions: Column<Auditor> = {
    title: t('actions'),
    right: true,
    cell: (one) =>
      one.status === 'appointed' && (
        <Button
          kind="quiet"
          aria-label={t('auditor.dismiss.of', { name: one.key_name })}
          onClick={() => setDismissing(one)}
        >
          {t('auditor.dismiss')}
        </Button>
      ),
  };
  return (
    <Card title={t('auditor.title')} action={appoint} flush>
      <Shown of={auditors} rows={3}>
        {({ data }) =>
          data.length === 0 ? (
            <Empty icon="audit" title={t('auditor.none')}>
              {t('auditor.none.hint')}
            </Empty>
          ) : (
            <Table
              caption={t('auditor.title')}
              rows={data}
              keyOf={({ id }) => id}
              columns={admin ? [...columns, actions] : columns}
            />
          )
        }
      </Shown>
      {appointing && <AppointAuditor onClose={() => setAppointing(false)} />}
      {dismissing !== null && <Dismiss of={dismissing} onClose={() => setDismissing(null)} />}
    </Card>
  );
}

function Dismiss({ of: one, onClose }: { readonly of: Auditor; readonly onClose: () => void }) {
  const t = useT();
  const dismiss = useWrite('DELETE /api/audit/credentials/:id', onClose);
  return (
    <Confirm
      title={t('auditor.dismiss.of', { name: one.key_name })}
      action={t('auditor.dismiss')}
      of={dismiss}
      onConfirm={() => dismiss.mutate({ params: { id: one.id } })}
      onClose={onClose}
    >
      <p>{t('auditor.dismiss.effect')}</p>
    </Confirm>
  );
}
