import { type FormEvent, useState } from 'react';
import type { Agency } from '../api/shapes-people.ts';
import { SIGNED_OUT } from '../api/client.ts';
import { useRead, useWrite } from '../api/hooks.ts';
import { useRights, useSession, useT } from '../context.tsx';
import { Button, Card, Facts, Page, Time } from '../parts/basics.tsx';
import { TextField } from '../parts/form.tsx';
import { Problem, Shown } from '../parts/states.tsx';
import { isWord } from '../words/words.ts';
import { OutboxCard } from './outbox.tsx';
import { Billing } from './settings-billing.tsx';

const PASSWORD_LENGTH_MIN = 12;

export default function Settings() {
  const t = useT();
  const { agency } = useRights();
  const { user, agency: home } = useSession();
  const isAdministrator = user.id === 'default_user_id';
  return (
    <Page title={t('settings')}>
      <div className="grid items-start gap-5 xl:grid-cols-2">
        {agency && (
          <div className="flex min-w-0 flex-col gap-5">
            <Agencies />
            <Billing agencyId={home.id} />
          </div>
        )}
        <div className="flex flex-col gap-5">
          <SessionCard />
          {!isAdministrator && <Password />}
          <Card title={t('settings.api')}>
            <p className="text-soft">{t('settings.api.lead')}</p>
            <p className="mt-3 flex flex-wrap gap-4">
              <a href="/" className="rounded text-accent hover:underline">
                Swagger UI
              </a>
              <a href="/openapi.json" className="rounded text-accent hover:underline">
                OpenAPI
              </a>
            </p>
          </Card>
        </div>
      </div>
      {agency && <OutboxCard />}
    </Page>
  );
}

function Agencies() {
  const t = useT();
  const agencies = useRead('GET /api/agencies');
  return (
    <Card title={t('settings.agency')}>
      <Shown of={agencies}>
        {({ data }) => (
          <div className="flex flex-col gap-6">
            {data.map((agency) => (
              <AgencyFacts key={agency.id} of={agency} />
            ))}
          </div>
        )}
      </Shown>
    </Card>
  );
}

const CONTACT = [
  'street',
  'postal_code',
  'city',
  'country',
  'email',
  'phone',
  'vat_id',
  'tax_number',
  'iban',
  'bic',
  'register',
] as const;

function AgencyFacts({ of: agency }: { readonly of: Agency }) {
  const t = useT();
  const known = CONTACT.filter((field) => typeof agency.contact[field] === 'string');
  const label = (field: string) => {
    const word = `billing.${field}`;
    return isWord(word) ? t(word) : field.toUpperCase();
  };
  return (
    <section>
      <h3 className="mb-2 font-medium">{agency.name ?? agency.id}</h3>
      <Facts
        items={[
          ...known.map((field) => [label(field), String(agency.contact[field])] as const),
          [t('settings.zone'), agency.zone],
          [t('settings.currency'), agency.currency],
          [t('settings.series'), agency.invoice_series],
        ]}
      />
      <p className="mt-3 text-sm text-soft">{t('settings.agency.hint')}</p>
    </section>
  );
}

function SessionCard() {
  const t = useT();
  const { user, expires_at: until } = useSession();
  const out = useWrite('DELETE /api/sessions', () => window.dispatchEvent(new Event(SIGNED_OUT)));
  return (
    <Card title={t('settings.session')}>
      <Facts
        items={[
          [t('user'), user.id === 'default_user_id' ? t('administrator') : (user.email ?? user.id)],
          [t('settings.until'), <Time key="until" at={until} />],
        ]}
      />
      <div className="mt-4">
        <Button busy={out.isPending} onClick={() => out.mutate({})}>
          {t('settings.everywhere')}
        </Button>
      </div>
    </Card>
  );
}

function Password() {
  const t = useT();
  const [current, setCurrent] = useState('');
  const [password, setPassword] = useState('');
  const change = useWrite('POST /api/session/password', () => {
    setCurrent('');
    setPassword('');
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    change.mutate({ body: { current, password } });
  };
  return (
    <Card title={t('password')}>
      {change.error !== null && <Problem error={change.error} />}
      {change.isSuccess && (
        <p role="status" className="mb-3 rounded-lg bg-good-tint px-4 py-2.5 text-good">
          {t('password.changed')}
        </p>
      )}
      <form onSubmit={submit} className="flex flex-col gap-4">
        <TextField
          label={t('password.current')}
          type="password"
          required
          autoComplete="current-password"
          value={current}
          onText={setCurrent}
        />
        <TextField
          label={t('password.new')}
          type="password"
          required
          autoComplete="new-password"
          minLength={PASSWORD_LENGTH_MIN}
          hint={t('password.rule', { min: PASSWORD_LENGTH_MIN })}
          value={password}
          onText={setPassword}
        />
        <div>
          <Button kind="primary" type="submit" busy={change.isPending}>
            {t('password.change')}
          </Button>
        </div>
      </form>
    </Card>
  );
}
