import { type FormEvent, useState } from 'react';
import type { BillingSettings } from '../api/shapes-desk.ts';
import { useRead, useWrite } from '../api/hooks.ts';
import { useFormats, useRights, useT } from '../context.tsx';
import { Badge, Button, Card, Facts, Time } from '../parts/basics.tsx';
import { CheckField, TextField } from '../parts/form.tsx';
import { Problem, Shown } from '../parts/states.tsx';
import { StripeCard } from './settings-stripe.tsx';
import { useProblems } from '../problems.ts';

const GRACE_HOURS_DEFAULT = 24;

/** How an agency delivers its invoices and gets its money. */
export function Billing({ agencyId }: { readonly agencyId: string }) {
  const t = useT();
  const settings = useRead('GET /api/agencies/:id/billing', { params: { id: agencyId } });
  return (
    <>
      <Card title={t('collect.title')}>
        <Shown of={settings}>{(data) => <BillingForm key={textOf(data)} of={data} />}</Shown>
        <Runs agencyId={agencyId} />
      </Card>
      <Card title="Stripe">
        <Shown of={settings} rows={2}>
          {(data) => <StripeCard of={data} />}
        </Shown>
      </Card>
    </>
  );
}

/** Changes when somebody else has changed them, so that the form shows what holds. */
const textOf = (settings: BillingSettings) => JSON.stringify({ ...settings, stripe: null });

function BillingForm({ of: settings }: { readonly of: BillingSettings }) {
  const t = useT();
  const { admin } = useRights();
  const [mail, setMail] = useState(settings.mail);
  const [days, setDays] = useState(settings.reminder_days.join(', '));
  const [suspend, setSuspend] = useState(String(settings.suspend_after_days ?? ''));
  const [runs, setRuns] = useState(settings.invoice_run !== null);
  const [grace, setGrace] = useState(String(settings.invoice_run?.grace_hours ?? GRACE_HOURS_DEFAULT));
  const change = useWrite('PUT /api/agencies/:id/billing');
  const problems = useProblems(change.error);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    change.mutate({
      params: { id: settings.agency_id },
      body: {
        mail,
        reminder_days: days
          .split(/[,;\s]+/)
          .filter((day) => day !== '')
          .map(Number),
        suspend_after_days: suspend.trim() === '' ? null : Number(suspend),
        invoice_run: runs ? { grace_hours: Number(grace) } : null,
      },
    });
  };
  return (
    <form onSubmit={submit} className="flex flex-col gap-4">
      {change.error !== null && <Problem error={change.error} />}
      <fieldset disabled={!admin} className="flex flex-col gap-4">
        <CheckField label={t('collect.mail')} checked={mail} onCheck={setMail} />
        <TextField
          label={t('collect.reminders')}
          hint={t('collect.reminders.hint')}
          pattern="\s*(\d{1,3}([,;\s]+\d{1,3})*)?\s*"
          title={t('collect.reminders.hint')}
          value={days}
          onText={setDays}
          problem={problems['reminder_days']}
        />
        <TextField
          label={t('collect.suspend')}
          hint={t('collect.suspend.hint')}
          inputMode="numeric"
          pattern="\d{0,3}"
          value={suspend}
          onText={setSuspend}
          problem={problems['suspend_after_days']}
        />
        <CheckField label={t('collect.run')} checked={runs} onCheck={setRuns} />
        {runs && (
          <TextField
            label={t('collect.grace')}
            type="number"
            min={0}
            max={600}
            required
            value={grace}
            onText={setGrace}
            problem={problems['invoice_run.grace_hours']}
          />
        )}
      </fieldset>
      {admin && (
        <div>
          <Button kind="primary" type="submit" busy={change.isPending}>
            {t('save')}
          </Button>
        </div>
      )}
    </form>
  );
}

/** The newest runs that came by themselves. */
function Runs({ agencyId }: { readonly agencyId: string }) {
  const t = useT();
  const formats = useFormats();
  const runs = useRead('GET /api/invoice-runs', { query: { agency_id: agencyId } });
  const newest = runs.data?.data.slice(0, 6) ?? [];
  if (newest.length === 0) return null;
  return (
    <section className="mt-5">
      <h3 className="mb-2 text-sm font-semibold">{t('collect.runs')}</h3>
      <Facts
        items={newest.map(({ period, problem, ended_at: ended, next_at: next }) => [
          formats.month(period),
          <span key={period} className="flex flex-wrap items-center gap-2">
            <Badge tone={problem === null ? 'good' : 'bad'}>
              {problem === null ? t('state.good') : t('state.bad')}
            </Badge>
            <Time at={ended ?? next} />
            {problem !== null && <span className="text-sm break-words text-bad">{problem}</span>}
          </span>,
        ])}
      />
    </section>
  );
}
