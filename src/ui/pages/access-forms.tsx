import { type FormEvent, useState } from 'react';
import { useWrite } from '../api/hooks.ts';
import { useSession, useT } from '../context.tsx';
import { useNames } from '../names.ts';
import { CancelOrSend, Dialog, Kept } from '../parts/dialog.tsx';
import { SelectField, TextField } from '../parts/form.tsx';
import { Secrets } from '../parts/secret.tsx';
import { Problem } from '../parts/states.tsx';
import { useProblems } from '../problems.ts';

const ROLES = ['proxy_admin_viewer', 'org_admin', 'proxy_admin'] as const;
const LIVES = ['30', '90', '365', ''] as const;
const DAY_MS = 86_400_000;

function expiryIn(days: string): string | null {
  return days === '' ? null : new Date(Date.now() + Number(days) * DAY_MS).toISOString();
}

export function MakeCredential({ onClose }: { readonly onClose: () => void }) {
  const t = useT();
  const [name, setName] = useState('');
  const [role, setRole] = useState<string>(ROLES[0]);
  const [tenant, setTenant] = useState('');
  const [days, setDays] = useState<string>('90');
  const make = useWrite('POST /api/credentials');
  const problems = useProblems(make.error);
  if (make.data !== undefined)
    return (
      <Dialog title={t('credential.made', { name })} onClose={onClose} wide fixed>
        <Secrets secrets={[{ name, secret: make.data.secret }]} file={name} opens="api" />
        <Kept onClose={onClose} />
      </Dialog>
    );
  const submit = (event: FormEvent) => {
    event.preventDefault();
    const scope = role === 'org_admin' ? { tenant_id: tenant } : {};
    make.mutate({ body: { name: name.trim(), role, ...scope, expires_at: expiryIn(days) } });
  };
  return (
    <Dialog title={t('credential.make')} onClose={onClose}>
      {make.error !== null && <Problem error={make.error} />}
      <form onSubmit={submit} className="flex flex-col gap-4">
        <TextField
          label={t('name')}
          hint={t('credential.name.hint')}
          required
          autoFocus
          autoComplete="off"
          value={name}
          onText={setName}
          problem={problems['name']}
        />
        <SelectField
          label={t('role')}
          value={role}
          onText={setRole}
          hint={t(`role.${role as 'org_admin'}.hint`)}
          choices={ROLES.map((one) => [one, t(`role.${one}`)] as const)}
        />
        {role === 'org_admin' && (
          <TenantField value={tenant} onText={setTenant} problem={problems['tenant_id']} />
        )}
        <ExpiryField value={days} onText={setDays} problem={problems['expires_at']} />
        <CancelOrSend onClose={onClose} busy={make.isPending}>
          {t('credential.make')}
        </CancelOrSend>
      </form>
    </Dialog>
  );
}

export function AppointAuditor({ onClose }: { readonly onClose: () => void }) {
  const t = useT();
  const { agency } = useSession();
  const [scope, setScope] = useState<'agency' | 'tenant'>('tenant');
  const [tenant, setTenant] = useState('');
  const [days, setDays] = useState<string>('30');
  const appoint = useWrite('POST /api/audit/credentials');
  const problems = useProblems(appoint.error);
  if (appoint.data !== undefined)
    return (
      <Dialog title={t('auditor.appointed')} onClose={onClose} wide fixed>
        <p>{t('auditor.appointed.lead')}</p>
        <Secrets
          secrets={[{ name: 'auditor', secret: appoint.data.secret }]}
          file={appoint.data.id}
          opens="api"
        />
        <Kept onClose={onClose} />
      </Dialog>
    );
  const submit = (event: FormEvent) => {
    event.preventDefault();
    const id = scope === 'agency' ? agency.id : tenant;
    appoint.mutate({ body: { scope, id, expires: expiryIn(days) } });
  };
  return (
    <Dialog title={t('auditor.appoint')} onClose={onClose}>
      {appoint.error !== null && <Problem error={appoint.error} />}
      <form onSubmit={submit} className="flex flex-col gap-4">
        <SelectField
          label={t('access.scope')}
          value={scope}
          autoFocus
          onText={(value) => setScope(value === 'agency' ? 'agency' : 'tenant')}
          choices={[
            ['tenant', t('tenant')],
            ['agency', t('access.agency')],
          ]}
        />
        {scope === 'tenant' && <TenantField value={tenant} onText={setTenant} problem={problems['id']} />}
        <ExpiryField value={days} onText={setDays} problem={problems['expires']} />
        <CancelOrSend onClose={onClose} busy={appoint.isPending}>
          {t('auditor.appoint')}
        </CancelOrSend>
      </form>
    </Dialog>
  );
}

interface ChoiceProps {
  readonly value: string;
  readonly onText: (value: string) => void;
  readonly problem: string | undefined;
}

function TenantField(props: ChoiceProps) {
  const t = useT();
  const names = useNames();
  const customers = names.tenants.filter(({ own }) => !own);
  return (
    <SelectField
      {...props}
      label={t('tenant')}
      required
      choices={[['', ''], ...customers.map(({ id }) => [id, names.tenant(id)] as const)]}
    />
  );
}

function ExpiryField(props: ChoiceProps) {
  const t = useT();
  return (
    <SelectField
      {...props}
      label={t('access.expires')}
      choices={LIVES.map((days) => [days, days === '' ? t('never') : t(`access.in.${days}`)] as const)}
    />
  );
}
