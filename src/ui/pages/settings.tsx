import { type FormEvent, useState } from 'react';
import { SIGNED_OUT } from '../api/client.ts';
import { useWrite } from '../api/hooks.ts';
import { useRights, useSession, useT } from '../context.tsx';
import { Button, Card, Facts, Page, Time } from '../parts/basics.tsx';
import { TextField } from '../parts/form.tsx';
import { Problem } from '../parts/states.tsx';
import { Tabs } from '../parts/tabs.tsx';
import { useFilters } from '../search.ts';
import { OutboxCard } from './outbox.tsx';
import { AgencySettings } from './settings-agency.tsx';
import { Alerts } from './settings-alerts.tsx';
import { Billing } from './settings-billing.tsx';
import { BrandSettings } from './settings-brand.tsx';

const PASSWORD_LENGTH_MIN = 12;

const PARTS = ['agency', 'brand', 'payments', 'alerts', 'you'] as const;

export default function Settings() {
  const t = useT();
  const { agency } = useRights();
  const { agency: home } = useSession();
  const [get, set] = useFilters();
  const part = agency ? (PARTS.find((one) => one === get('part')) ?? 'agency') : 'you';
  return (
    <Page title={t('settings')}>
      {agency && (
        <Tabs
          label={t('settings')}
          tabs={PARTS.map((one) => [one, t(`settings.part.${one}`)] as const)}
          shown={part}
          onShow={(one) => set({ part: one === 'agency' ? null : one })}
        />
      )}
      {part === 'agency' && <AgencySettings agencyId={home.id} />}
      {part === 'brand' && <BrandSettings agencyId={home.id} />}
      {part === 'payments' && (
        <>
          <div className="grid items-start gap-5 xl:grid-cols-2">
            <Billing agencyId={home.id} />
          </div>
          <OutboxCard />
        </>
      )}
      {part === 'alerts' && <Alerts agencyId={home.id} />}
      {part === 'you' && <You />}
    </Page>
  );
}

function You() {
  const t = useT();
  const { user } = useSession();
  const isAdministrator = user.id === 'default_user_id';
  return (
    <div className="grid items-start gap-5 xl:grid-cols-2">
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
