import { type FormEvent, useState } from 'react';
import type { Model } from '../api/shapes-desk.ts';
import { useRead, useWrite } from '../api/hooks.ts';
import { useFormats, useT } from '../context.tsx';
import { Badge, Button } from '../parts/basics.tsx';
import { Confirm } from '../parts/confirm.tsx';
import { Dialog, DialogButtons } from '../parts/dialog.tsx';
import { TextField } from '../parts/form.tsx';
import { Problem, Shown } from '../parts/states.tsx';
import { useWorded } from '../problems.ts';

interface Props {
  readonly model: Model;
  readonly onClose: () => void;
}

export function DeleteModel({ model: { model_name: name, model_info: facts }, onClose }: Props) {
  const t = useT();
  const remove = useWrite('POST /model/delete', onClose);
  return (
    <Confirm
      title={t('model.delete.title', { name })}
      action={t('delete')}
      of={remove}
      onConfirm={() => remove.mutate({ body: { id: facts.id } })}
      onClose={onClose}
    >
      <p>{t('model.delete.effect')}</p>
    </Confirm>
  );
}

/** How the gateway sees the deployments of the name, and a call as a client would make it. */
export function TestModel({ model: { model_name: name }, onClose }: Props) {
  const t = useT();
  const formats = useFormats();
  const worded = useWorded();
  const [secret, setSecret] = useState('');
  const [began, setBegan] = useState(0);
  const [tookMs, setTook] = useState(0);
  const health = useRead('GET /health', { query: { model: name } });
  const call = useWrite('POST /v1/chat/completions', () => setTook(performance.now() - began));
  const submit = (event: FormEvent) => {
    event.preventDefault();
    setBegan(performance.now());
    const messages = [{ role: 'user', content: 'ping' }];
    call.mutate({ bearer: secret, body: { model: name, messages, max_tokens: 5 } });
  };
  return (
    <Dialog title={t('model.test.of', { name })} onClose={onClose}>
      <Shown of={health} rows={1}>
        {({ healthy_endpoints: healthy, unhealthy_endpoints: unhealthy }) => (
          <>
            <p className="flex flex-wrap items-center gap-2">
              <Badge tone={unhealthy.length === 0 ? 'good' : healthy.length === 0 ? 'bad' : 'warn'}>
                {t('model.healthy', { count: healthy.length, all: healthy.length + unhealthy.length })}
              </Badge>
            </p>
            {unhealthy.map(({ model_id: id, error }) => (
              <p key={id} className="text-sm break-words text-bad">
                {id}: {error === null ? '' : worded(error)}
              </p>
            ))}
          </>
        )}
      </Shown>
      <form onSubmit={submit} className="flex flex-col gap-4">
        <TextField
          label={t('model.test.key')}
          hint={t('model.test.hint')}
          type="password"
          autoComplete="off"
          required
          autoFocus
          value={secret}
          onText={setSecret}
        />
        <div aria-live="polite">
          {call.error !== null && <Problem error={call.error} />}
          {call.isSuccess && (
            <Badge tone="good">{t('model.test.ok', { duration: formats.duration(tookMs) })}</Badge>
          )}
        </div>
        <DialogButtons>
          <Button onClick={onClose}>{t('close')}</Button>
          <Button kind="primary" type="submit" busy={call.isPending}>
            {t('model.test.do')}
          </Button>
        </DialogButtons>
      </form>
    </Dialog>
  );
}
