import { useState } from 'react';
import { useLocation } from 'wouter';
import type { Key } from '../api/shapes-keys.ts';
import { useWrite } from '../api/hooks.ts';
import { useFormats, useRights, useSession, useT } from '../context.tsx';
import { Button } from '../parts/basics.tsx';
import { Confirm } from '../parts/confirm.tsx';
import { Dialog, DialogButtons, Kept } from '../parts/dialog.tsx';
import { SelectField, TextField } from '../parts/form.tsx';
import { Secrets } from '../parts/secret.tsx';
import { Problem } from '../parts/states.tsx';
import { KeyForm } from './key-form.tsx';

/** What can be done with a key. Deleting is final, so it says what ends and asks for the name. */
export function KeyActions({ of: key }: { readonly of: Key }) {
  const t = useT();
  const { makesKeys, admin, leads } = useRights();
  const { user } = useSession();
  const [open, setOpen] = useState<'change' | 'block' | 'rotate' | 'delete' | null>(null);
  const unblock = useWrite('POST /key/unblock');
  const mine = key.user_id === user.id;
  if (!makesKeys || !(admin || leads || mine)) return null;
  const close = () => setOpen(null);
  return (
    <>
      <Button onClick={() => setOpen('change')}>{t('key.edit')}</Button>
      <Button onClick={() => setOpen('rotate')}>{t('key.rotate')}</Button>
      {key.blocked ? (
        <Button busy={unblock.isPending} onClick={() => unblock.mutate({ body: { key: key.key_id } })}>
          {t('key.unblock')}
        </Button>
      ) : (
        <Button onClick={() => setOpen('block')}>{t('key.block')}</Button>
      )}
      <Button kind="danger" onClick={() => setOpen('delete')}>
        {t('delete')}
      </Button>
      {open === 'change' && <KeyForm of={key} onClose={close} />}
      {open === 'rotate' && <Rotate of={key} onClose={close} />}
      {open === 'block' && <Block of={key} onClose={close} />}
      {open === 'delete' && <Delete of={key} onClose={close} />}
    </>
  );
}

interface ActionProps {
  readonly of: Key;
  readonly onClose: () => void;
}

function Block({ of: key, onClose }: ActionProps) {
  const t = useT();
  const block = useWrite('POST /key/block', onClose);
  return (
    <Confirm
      title={t('key.block.title', { name: key.key_alias ?? key.key_id })}
      action={t('key.block')}
      kind="primary"
      of={block}
      onConfirm={() => block.mutate({ body: { key: key.key_id } })}
      onClose={onClose}
    >
      <p>{t('key.block.effect')}</p>
    </Confirm>
  );
}

const GRACES = ['', '1h', '24h', '7d'] as const;

function Rotate({ of: key, onClose }: ActionProps) {
  const t = useT();
  const [grace, setGrace] = useState<string>('24h');
  const rotate = useWrite('POST /key/regenerate');
  const name = key.key_alias ?? key.key_id;
  if (rotate.data !== undefined) {
    return (
      <Dialog title={t('key.rotated', { name })} onClose={onClose} wide fixed>
        <p>
          {grace === ''
            ? t('key.rotated.now')
            : t('key.rotated.grace', { grace: t(`grace.${grace as '1h'}`) })}
        </p>
        <Secrets secrets={[{ name, secret: rotate.data.key }]} file={name} />
        <Kept onClose={onClose} />
      </Dialog>
    );
  }
  return (
    <Dialog title={t('key.rotate.title', { name })} onClose={onClose}>
      {rotate.error !== null && <Problem error={rotate.error} />}
      <p>{t('key.rotate.effect')}</p>
      <SelectField
        label={t('key.grace')}
        value={grace}
        onText={setGrace}
        hint={grace === '' ? t('key.grace.none.hint') : t('key.grace.hint')}
        choices={GRACES.map(
          (value) => [value, value === '' ? t('grace.none') : t(`grace.${value}`)] as const,
        )}
      />
      <DialogButtons>
        <Button onClick={onClose}>{t('cancel')}</Button>
        <Button
          kind="primary"
          busy={rotate.isPending}
          onClick={() =>
            rotate.mutate({ body: { key: key.key_id, ...(grace === '' ? {} : { grace_period: grace }) } })
          }
        >
          {t('key.rotate')}
        </Button>
      </DialogButtons>
    </Dialog>
  );
}

function Delete({ of: key, onClose }: ActionProps) {
  const t = useT();
  const formats = useFormats();
  const [, go] = useLocation();
  const [typed, setTyped] = useState('');
  const remove = useWrite('POST /key/delete', () => go('/keys'));
  const name = key.key_alias ?? key.key_id;
  return (
    <Confirm
      title={t('key.delete.title', { name })}
      action={t('delete')}
      of={remove}
      isReady={typed === name}
      onConfirm={() => remove.mutate({ body: { keys: [key.key_id] } })}
      onClose={onClose}
    >
      <ul className="list-disc space-y-1 pl-5">
        <li>{t('key.delete.calls')}</li>
        <li>{t('key.delete.spend', { sum: formats.money(key.spend) })}</li>
        <li>{t('key.delete.history')}</li>
        <li>{t('key.delete.final')}</li>
      </ul>
      <TextField
        label={t('key.delete.type', { name })}
        value={typed}
        onText={setTyped}
        autoComplete="off"
        autoFocus
      />
    </Confirm>
  );
}
