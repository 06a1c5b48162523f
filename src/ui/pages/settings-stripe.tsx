import { type FormEvent, useState } from 'react';
import type { BillingSettings } from '../api/shapes-desk.ts';
import { useWrite } from '../api/hooks.ts';
import { useRights, useT } from '../context.tsx';
import { Badge, Button, Facts } from '../parts/basics.tsx';
import { Confirm } from '../parts/confirm.tsx';
import { Dialog, DialogButtons } from '../parts/dialog.tsx';
import { CheckField, TextField } from '../parts/form.tsx';
import { CopyButton } from '../parts/secret.tsx';
import { Problem } from '../parts/states.tsx';
import { useProblems } from '../problems.ts';

const METHODS = ['card', 'sepa_debit'] as const;
type Method = (typeof METHODS)[number];

/** Who collects. Secrets go to the API and never come back. */
export function StripeCard({ of: { agency_id: id, stripe } }: { readonly of: BillingSettings }) {
  const t = useT();
  const { admin } = useRights();
  const [open, setOpen] = useState<'connect' | 'remove' | null>(null);
  const close = () => setOpen(null);
  return (
    <div className="flex flex-col gap-4">
      {stripe === null ? (
        <p className="text-soft">{t('stripe.none')}</p>
      ) : (
        <Facts
          items={[
            [t('stripe.account'), stripe.account_id],
            [
              t('stripe.mode'),
              <Badge key="mode" tone={stripe.mode === 'live' ? 'good' : 'warn'}>
                {stripe.mode === 'live' ? t('stripe.live') : t('stripe.test')}
              </Badge>,
            ],
            [
              t('stripe.methods'),
              METHODS.filter((method) => stripe.methods.includes(method))
                .map((method) => t(`method.${method}`))
                .join(', '),
            ],
          ]}
        />
      )}
      {admin && (
        <div className="flex flex-wrap gap-2">
          <Button onClick={() => setOpen('connect')}>
            {stripe === null ? t('stripe.connect') : t('stripe.change')}
          </Button>
          {stripe !== null && (
            <Button kind="danger" onClick={() => setOpen('remove')}>
              {t('remove')}
            </Button>
          )}
        </div>
      )}
      {open === 'connect' && <Connect agencyId={id} onClose={close} />}
      {open === 'remove' && <Remove agencyId={id} onClose={close} />}
    </div>
  );
}

function Connect({ agencyId, onClose }: { readonly agencyId: string; readonly onClose: () => void }) {
  const t = useT();
  const [key, setKey] = useState('');
  const [webhook, setWebhook] = useState('');
  const [methods, setMethods] = useState<readonly Method[]>(METHODS);
  const connect = useWrite('PUT /api/agencies/:id/stripe', onClose);
  const address = `${location.origin}/api/stripe/webhook/${agencyId}`;
  const problems = useProblems(connect.error);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    const body = { secret_key: key.trim(), webhook_secret: webhook.trim(), methods };
    connect.mutate({ params: { id: agencyId }, body });
  };
  return (
    <Dialog title={t('stripe.connect')} onClose={onClose}>
      {connect.error !== null && <Problem error={connect.error} />}
      <p>{t('stripe.webhook')}</p>
      <p className="flex items-center gap-2 rounded-lg bg-sunken px-3 py-1">
        <code className="min-w-0 flex-1 font-mono text-sm break-all">{address}</code>
        <CopyButton text={address} label={t('stripe.copy')} />
      </p>
      <form onSubmit={submit} className="flex flex-col gap-4">
        <TextField
          label={t('stripe.key')}
          hint={t('stripe.key.hint')}
          type="password"
          autoComplete="off"
          required
          autoFocus
          value={key}
          onText={setKey}
          problem={problems['secret_key']}
        />
        <TextField
          label={t('stripe.signing')}
          type="password"
          autoComplete="off"
          required
          value={webhook}
          onText={setWebhook}
          problem={problems['webhook_secret']}
        />
        <fieldset className="flex flex-wrap gap-x-5">
          <legend className="text-sm font-medium">{t('stripe.methods')}</legend>
          {METHODS.map((method) => (
            <CheckField
              key={method}
              label={t(`method.${method}`)}
              checked={methods.includes(method)}
              onCheck={(on) =>
                setMethods(METHODS.filter((one) => (one === method ? on : methods.includes(one))))
              }
            />
          ))}
        </fieldset>
        <DialogButtons>
          <Button onClick={onClose}>{t('cancel')}</Button>
          <Button kind="primary" type="submit" busy={connect.isPending} disabled={methods.length === 0}>
            {t('save')}
          </Button>
        </DialogButtons>
      </form>
    </Dialog>
  );
}

function Remove({ agencyId, onClose }: { readonly agencyId: string; readonly onClose: () => void }) {
  const t = useT();
  const remove = useWrite('DELETE /api/agencies/:id/stripe', onClose);
  return (
    <Confirm
      title={t('stripe.remove')}
      action={t('remove')}
      of={remove}
      onConfirm={() => remove.mutate({ params: { id: agencyId } })}
      onClose={onClose}
    >
      <p>{t('stripe.remove.effect')}</p>
    </Confirm>
  );
}
