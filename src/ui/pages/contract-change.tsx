import { type FormEvent, type ReactNode, useState } from 'react';
import type { ContractChange } from '../api/shapes-desk.ts';
import type { Contract } from '../api/shapes-keys.ts';
import { useRead, useWrite } from '../api/hooks.ts';
import { useFormats, useT } from '../context.tsx';
import { addDays } from '../format.ts';
import { Button } from '../parts/basics.tsx';
import { Dialog, DialogButtons } from '../parts/dialog.tsx';
import { CheckField, type Choice, SelectField, TextField } from '../parts/form.tsx';
import { Problem } from '../parts/states.tsx';
import { ContractEffect } from './contract-effect.tsx';
import { useProblems } from '../problems.ts';

/** Stands in the list of plans for the end of the contract; no plan has such a name. */
const END = ' end';
const WHEN = ['fitting', 'now', 'next_period', 'date'] as const;
type When = (typeof WHEN)[number];

interface Wish {
  readonly plan: string;
  readonly when: When;
  readonly day: string;
  readonly standard: boolean;
  readonly waive: boolean;
}

/** First what is wanted, then what it would do to every key and to the month, then the change itself. */
export function ChangeContract({
  tenantId,
  contract,
  onClose,
}: {
  readonly tenantId: string;
  readonly contract: Contract | null;
  readonly onClose: () => void;
}) {
  const t = useT();
  const formats = useFormats();
  const [wish, setWish] = useState<Wish>({
    plan: contract?.plan ?? '',
    when: 'fitting',
    day: addDays(formats.today(), 1),
    standard: false,
    waive: false,
  });
  const preview = useWrite('POST /api/tenants/:id/contract/preview');
  const problems = useProblems(preview.error);
  const change = useWrite('POST /api/tenants/:id/contract', onClose);
  const params = { id: tenantId };
  const submit = (event: FormEvent) => {
    event.preventDefault();
    preview.mutate({ params, body: bodyOf(wish) });
  };
  if (preview.data !== undefined) {
    return (
      <Confirm
        of={preview.data}
        busy={change.isPending}
        problem={change.error === null ? null : <Problem error={change.error} />}
        onBack={() => preview.reset()}
        onConfirm={() => change.mutate({ params, body: bodyOf(wish) })}
        onClose={onClose}
      />
    );
  }
  return (
    <Dialog title={t('contract.change')} onClose={onClose}>
      {preview.error !== null && <Problem error={preview.error} />}
      <form onSubmit={submit} className="flex flex-col gap-4">
        <WishFields
          wish={wish}
          contract={contract}
          today={formats.today()}
          problems={problems}
          onChange={(part) => setWish((before) => ({ ...before, ...part }))}
        />
        <DialogButtons>
          <Button onClick={onClose}>{t('cancel')}</Button>
          <Button kind="primary" type="submit" busy={preview.isPending} disabled={wish.plan === ''}>
            {t('contract.preview')}
          </Button>
        </DialogButtons>
      </form>
    </Dialog>
  );
}

function bodyOf({ plan, when, day, standard, waive }: Wish) {
  return {
    ...(plan === END ? { end: true, waive_notice: waive } : { plan }),
    ...(when === 'fitting' ? {} : { effective: when === 'date' ? day : when }),
    ...(standard && plan !== END ? { agreed: null } : {}),
  };
}

function WishFields({
  wish,
  contract,
  today,
  problems,
  onChange,
}: {
  readonly wish: Wish;
  readonly contract: Contract | null;
  readonly today: string;
  readonly problems: Readonly<Record<string, string>>;
  readonly onChange: (part: Partial<Wish>) => void;
}) {
  const t = useT();
  const formats = useFormats();
  const plans = useRead('GET /api/plans');
  const offered = (plans.data?.data ?? []).map(
    ({ name, version, terms }): Choice => [
      name,
      `${name} v${version} · ${t('per.month', { sum: formats.money(terms.monthly_fee) })}`,
    ],
  );
  return (
    <>
      <SelectField
        label={t('plan')}
        value={wish.plan}
        autoFocus
        onText={(plan) => onChange({ plan })}
        problem={problems['plan']}
        choices={[
          ...(wish.plan === '' ? [['', '–'] as const] : []),
          ...offered,
          ...(contract === null ? [] : [[END, t('contract.end')] as const]),
        ]}
      />
      <SelectField
        label={t('contract.when')}
        value={wish.when}
        onText={(when) => onChange({ when: when as When })}
        hint={wish.when === 'fitting' ? t('contract.fitting.hint') : undefined}
        problem={wish.when === 'date' ? undefined : problems['effective']}
        choices={WHEN.map((when) => [when, t(`when.${when}`)] as const)}
      />
      {wish.when === 'date' && (
        <TextField
          label={t('contract.day')}
          type="date"
          required
          value={wish.day}
          onText={(day) => onChange({ day })}
          hint={wish.day < today ? t('contract.past') : undefined}
          problem={problems['effective']}
        />
      )}
      {wish.plan === END && (
        <CheckField
          label={t('contract.waive')}
          checked={wish.waive}
          onCheck={(waive) => onChange({ waive })}
        />
      )}
      {wish.plan !== END && contract !== null && contract.agreed !== null && (
        <CheckField
          label={t('contract.standard')}
          checked={wish.standard}
          onCheck={(standard) => onChange({ standard })}
        />
      )}
    </>
  );
}

function Confirm({
  of: change,
  busy,
  problem,
  onBack,
  onConfirm,
  onClose,
}: {
  readonly of: ContractChange;
  readonly busy: boolean;
  readonly problem: ReactNode;
  readonly onBack: () => void;
  readonly onConfirm: () => void;
  readonly onClose: () => void;
}) {
  const t = useT();
  return (
    <Dialog title={t(`contract.${change.kind}`)} onClose={onClose} wide fixed={busy}>
      {problem}
      <ContractEffect of={change} />
      <DialogButtons>
        <Button onClick={onBack} disabled={busy}>
          {t('back')}
        </Button>
        <Button kind={change.kind === 'end' ? 'danger' : 'primary'} autoFocus busy={busy} onClick={onConfirm}>
          {t('contract.confirm')}
        </Button>
      </DialogButtons>
    </Dialog>
  );
}
