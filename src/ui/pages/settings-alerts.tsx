import { type FormEvent, useState } from 'react';
import type { AlertTarget } from '../api/shapes-desk.ts';
import { useRead, useWrite } from '../api/hooks.ts';
import { useFormats, useRights, useT, useTongue } from '../context.tsx';
import { useProblems } from '../problems.ts';
import { Badge, Button, Card, Time, type Tone } from '../parts/basics.tsx';
import { Dialog, DialogButtons, Kept } from '../parts/dialog.tsx';
import { CheckField, SelectField, TextField } from '../parts/form.tsx';
import { Secrets } from '../parts/secret.tsx';
import { Empty, Problem, Shown } from '../parts/states.tsx';
import { isWord, LANGUAGES } from '../words/words.ts';

const KINDS = [
  'budget-near',
  'budget-over',
  'key-expiring',
  'payment-failed',
  'invoice-run-failed',
  'unhealthy',
] as const;
const CHANNELS = ['webhook', 'email'] as const;
type Channel = (typeof CHANNELS)[number];

/** Whom the agency has told of what needs somebody's attention. */
export function Alerts({ agencyId }: { readonly agencyId: string }) {
  const t = useT();
  const { admin } = useRights();
  const [editing, setEditing] = useState<AlertTarget | 'new' | null>(null);
  const targets = useRead('GET /api/agencies/:id/alerts', {
    params: { id: agencyId },
    live: { topics: ['settings'] },
  });
  const add = admin && (
    <Button kind="primary" icon="plus" onClick={() => setEditing('new')}>
      {t('alert.add')}
    </Button>
  );
  return (
    <>
      <Card title={t('alerts')} action={(targets.data?.data.length ?? 0) > 0 && add} flush>
        <Shown of={targets} rows={3}>
          {({ data }) =>
            data.length === 0 ? (
              <Empty icon="alert" title={t('alerts.none')} action={add}>
                {t('alerts.none.hint')}
              </Empty>
            ) : (
              <ul className="divide-y divide-line">
                {data.map((target) => (
                  <Target key={target.id} agencyId={agencyId} of={target} onEdit={() => setEditing(target)} />
                ))}
              </ul>
            )
          }
        </Shown>
      </Card>
      {editing !== null && (
        <TargetForm
          agencyId={agencyId}
          known={editing === 'new' ? null : editing}
          onClose={() => setEditing(null)}
        />
      )}
    </>
  );
}

const TONES: Readonly<Record<string, Tone>> = { done: 'good', waiting: 'warn', stopped: 'bad' };

function Target({
  agencyId,
  of: target,
  onEdit,
}: {
  readonly agencyId: string;
  readonly of: AlertTarget;
  readonly onEdit: () => void;
}) {
  const t = useT();
  const formats = useFormats();
  const { admin } = useRights();
  const test = useWrite('POST /api/agencies/:id/alerts/:target/test');
  const { last, address } = target;
  const name = address ?? target.id;
  return (
    <li className="flex flex-col gap-3 px-5 py-4">
      <div className="flex flex-wrap items-start justify-between gap-3">
        <div className="min-w-0">
          <p className="flex flex-wrap items-center gap-2.5">
            <span className="font-medium break-all">{address ?? t('alert.unreadable')}</span>
            <Badge tone={target.active ? 'good' : 'calm'}>
              {t(target.active ? 'alert.on' : 'alert.off')}
            </Badge>
          </p>
          <p className="mt-0.5 text-sm text-soft">
            {t(`alert.channel.${target.channel as Channel}`)} ·{' '}
            {target.alerts.length === KINDS.length
              ? t('alert.everything')
              : target.alerts.map(wordOf(t)).join(', ')}
          </p>
          {last !== null && (
            <p className="mt-1.5 flex flex-wrap items-center gap-2 text-sm text-soft">
              {t('alert.last')} <Time at={last.at} />
              <Badge tone={TONES[last.status] ?? 'calm'}>
                {isWord(`task.${last.status}`) ? t(`task.${last.status}` as 'task.done') : last.status}
              </Badge>
              {last.status !== 'done' && last.note}
            </p>
          )}
        </div>
        {admin && (
          <div className="flex gap-2">
            <Button
              busy={test.isPending}
              aria-label={t('alert.test.of', { name })}
              onClick={() => test.mutate({ params: { id: agencyId, target: target.id }, body: {} })}
            >
              {t('alert.test')}
            </Button>
            <Button kind="quiet" aria-label={t('alert.edit.of', { name })} onClick={onEdit}>
              {t('alert.edit')}
            </Button>
          </div>
        )}
      </div>
      {test.error !== null && <Problem error={test.error} />}
      {test.data !== undefined && (
        <p
          role="status"
          className={`rounded-lg px-4 py-2.5 ${test.data.ok ? 'bg-good-tint text-good' : 'bg-bad-tint text-bad'}`}
        >
          {t(test.data.ok ? 'alert.arrived' : 'alert.failed', {
            detail: test.data.detail,
            duration: formats.duration(test.data.duration_ms),
          })}
        </p>
      )}
    </li>
  );
}

const wordOf = (t: ReturnType<typeof useT>) => (kind: string) => {
  const word = `alert.kind.${kind}`;
  return isWord(word) ? t(word) : kind;
};

function TargetForm({
  agencyId,
  known,
  onClose,
}: {
  readonly agencyId: string;
  readonly known: AlertTarget | null;
  readonly onClose: () => void;
}) {
  const t = useT();
  const { language: own } = useTongue();
  const [channel, setChannel] = useState<string>(known?.channel ?? 'webhook');
  const [address, setAddress] = useState('');
  const [alerts, setAlerts] = useState<readonly string[]>(known?.alerts ?? KINDS);
  const [language, setLanguage] = useState<string>(known?.language ?? own);
  const [active, setActive] = useState(known?.active ?? true);
  const add = useWrite('POST /api/agencies/:id/alerts', ({ secret }) => secret === null && onClose());
  const change = useWrite('PUT /api/agencies/:id/alerts/:target', onClose);
  const renew = useWrite('POST /api/agencies/:id/alerts/:target/secret');
  const error = add.error ?? change.error ?? renew.error;
  const problems = useProblems(error);
  const secret = add.data?.secret ?? renew.data?.secret ?? null;
  if (secret !== null) return <SigningSecret secret={secret} onClose={onClose} />;
  const params = { id: agencyId, target: known?.id ?? '' };
  const submit = (event: FormEvent) => {
    event.preventDefault();
    const wanted = { alerts, language, active };
    const moved = address.trim() === '' ? {} : { address: address.trim() };
    if (known === null) add.mutate({ params, body: { channel, ...wanted, ...moved } });
    else change.mutate({ params, body: { ...wanted, ...moved } });
  };
  return (
    <Dialog title={t(known === null ? 'alert.add' : 'alert.edit')} onClose={onClose}>
      {error !== null && problems['address'] === undefined && <Problem error={error} />}
      <form onSubmit={submit} className="flex flex-col gap-4">
        {known === null && (
          <SelectField
            label={t('alert.channel')}
            value={channel}
            onText={setChannel}
            choices={CHANNELS.map((one) => [one, t(`alert.channel.${one}`)] as const)}
          />
        )}
        <TextField
          label={t(channel === 'email' ? 'email' : 'alert.address')}
          type={channel === 'email' ? 'email' : 'url'}
          hint={
            known === null
              ? channel === 'email'
                ? undefined
                : t('alert.address.hint')
              : t('alert.address.kept', { address: known.address ?? '–' })
          }
          required={known === null}
          autoComplete="off"
          value={address}
          onText={setAddress}
          problem={problems['address']}
        />
        <fieldset>
          <legend className="mb-1.5 text-sm font-medium">{t('alert.kinds')}</legend>
          <div className="grid gap-x-4 sm:grid-cols-2">
            {KINDS.map((kind) => (
              <CheckField
                key={kind}
                label={t(`alert.kind.${kind}`)}
                checked={alerts.includes(kind)}
                onCheck={(checked) =>
                  setAlerts(checked ? [...alerts, kind] : alerts.filter((one) => one !== kind))
                }
              />
            ))}
          </div>
        </fieldset>
        <SelectField
          label={t('language')}
          value={language}
          onText={setLanguage}
          choices={LANGUAGES.map((one) => [one, t(`language.${one}`)] as const)}
        />
        <CheckField label={t('alert.active')} checked={active} onCheck={setActive} />
        {known !== null && <Others agencyId={agencyId} known={known} renew={renew} onClose={onClose} />}
        <DialogButtons>
          <Button onClick={onClose}>{t('cancel')}</Button>
          <Button
            kind="primary"
            type="submit"
            busy={add.isPending || change.isPending}
            disabled={alerts.length === 0}
          >
            {t('save')}
          </Button>
        </DialogButtons>
      </form>
    </Dialog>
  );
}

/** What is done to a target beside changing it. */
function Others({
  agencyId,
  known,
  renew,
  onClose,
}: {
  readonly agencyId: string;
  readonly known: AlertTarget;
  readonly renew: ReturnType<typeof useWrite<'POST /api/agencies/:id/alerts/:target/secret'>>;
  readonly onClose: () => void;
}) {
  const t = useT();
  const remove = useWrite('DELETE /api/agencies/:id/alerts/:target', onClose);
  const params = { id: agencyId, target: known.id };
  return (
    <div className="flex flex-wrap gap-2 border-t border-line pt-4">
      {known.channel === 'webhook' && (
        <Button busy={renew.isPending} onClick={() => renew.mutate({ params, body: {} })}>
          {t('alert.renew')}
        </Button>
      )}
      <Button kind="danger" busy={remove.isPending} onClick={() => remove.mutate({ params })}>
        {t('remove')}
      </Button>
      {remove.error !== null && <Problem error={remove.error} />}
    </div>
  );
}

function SigningSecret({ secret, onClose }: { readonly secret: string; readonly onClose: () => void }) {
  const t = useT();
  return (
    <Dialog title={t('alert.secret')} onClose={onClose} wide fixed>
      <Secrets secrets={[{ name: 'webhook', secret }]} file="webhook" />
      <p className="text-soft">{t('alert.secret.use')}</p>
      <pre className="overflow-x-auto rounded-lg bg-sunken px-4 py-3 font-mono text-sm" tabIndex={0}>
        {'x-keyledger-signature: t=<seconds>,v1=<hex>\nv1 = HMAC-SHA256(secret, "<seconds>.<body>")'}
      </pre>
      <Kept onClose={onClose} />
    </Dialog>
  );
}
