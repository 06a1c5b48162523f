import { type FormEvent, useState } from 'react';
import type { Model } from '../api/shapes-desk.ts';
import { useWrite } from '../api/hooks.ts';
import { useFormats, useT } from '../context.tsx';
import { CancelOrSend, Dialog } from '../parts/dialog.tsx';
import { TextField } from '../parts/form.tsx';
import { Problem } from '../parts/states.tsx';
import { perMillion, perToken } from './model-prices.ts';
import { useProblems } from '../problems.ts';

const COSTS = ['input_cost_per_token', 'cache_read_input_token_cost', 'output_cost_per_token'] as const;
const RATES = ['rpm', 'tpm'] as const;
const FIELDS = ['model', 'api_base', ...COSTS, ...RATES] as const;
type Field = (typeof FIELDS)[number];

interface Draft extends Readonly<Record<Field, string>> {
  readonly name: string;
  /** Written only; the API never shows it. */
  readonly api_key: string;
}

const isCost = (field: Field) => COSTS.some((one) => one === field);
const isNumber = (field: Field) => isCost(field) || RATES.some((one) => one === field);

/** A new deployment, or the one that is given: what it is called, where it is, what it costs. */
export function ModelForm({
  model,
  onClose,
}: {
  readonly model: Model | null;
  readonly onClose: () => void;
}) {
  const t = useT();
  const [draft, setDraft] = useState(() => draftOf(model));
  const add = useWrite('POST /model/new', onClose);
  const edit = useWrite('PATCH /model/:model_id/update', onClose);
  const write = model === null ? add : edit;
  const problems = useProblems(write.error);
  const change = (part: Partial<Draft>) => setDraft((before) => ({ ...before, ...part }));
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (model === null)
      add.mutate({ body: { model_name: draft.name, litellm_params: paramsOf(draft, null) } });
    else
      edit.mutate({
        params: { model_id: model.model_info.id },
        body: { model_name: draft.name, litellm_params: paramsOf(draft, draftOf(model)) },
      });
  };
  return (
    <Dialog
      title={model === null ? t('model.add') : t('model.edit.of', { name: model.model_name })}
      onClose={onClose}
      wide
    >
      {write.error !== null && <Problem error={write.error} />}
      <form onSubmit={submit} className="flex flex-col gap-4">
        <TextField
          label={t('model.name')}
          hint={t('model.name.hint')}
          required
          autoFocus
          value={draft.name}
          onText={(name) => change({ name })}
          problem={problems['model_name']}
        />
        <Fields draft={draft} isNew={model === null} problems={problems} onChange={change} />
        <CancelOrSend onClose={onClose} busy={write.isPending}>
          {t('save')}
        </CancelOrSend>
      </form>
    </Dialog>
  );
}

function Fields({
  draft,
  isNew,
  problems,
  onChange,
}: {
  readonly draft: Draft;
  readonly isNew: boolean;
  readonly problems: Readonly<Record<string, string>>;
  readonly onChange: (part: Partial<Draft>) => void;
}) {
  const t = useT();
  const { currency } = useFormats();
  const field = (name: Field) => ({
    label: t(`model.field.${name}`, { currency }),
    value: draft[name],
    onText: (value: string) => onChange({ [name]: value }),
    problem: problems[`litellm_params.${name}`],
    ...(isNumber(name) ? { inputMode: 'decimal' as const } : {}),
    ...(isCost(name) ? { pattern: '\\d+([.,]\\d+)?', title: t('model.cost.rule') } : {}),
    ...(isNumber(name) && !isCost(name) ? { pattern: '\\d+' } : {}),
  });
  return (
    <div className="grid gap-4 sm:grid-cols-6">
      <div className="sm:col-span-3">
        <TextField {...field('model')} hint={t('model.upstream.hint')} required />
      </div>
      <div className="sm:col-span-3">
        <TextField {...field('api_base')} type="url" hint={t('model.base.hint')} />
      </div>
      <div className="sm:col-span-6">
        <TextField
          label={t('model.field.api_key')}
          type="password"
          autoComplete="off"
          hint={isNew ? t('model.secret.hint') : t('model.secret.kept')}
          value={draft.api_key}
          onText={(secret) => onChange({ api_key: secret })}
          problem={problems['litellm_params.api_key']}
        />
      </div>
      {COSTS.map((name) => (
        <div key={name} className="sm:col-span-2">
          <TextField {...field(name)} />
        </div>
      ))}
      {RATES.map((name) => (
        <div key={name} className="sm:col-span-3">
          <TextField {...field(name)} />
        </div>
      ))}
    </div>
  );
}

function draftOf(model: Model | null): Draft {
  const params = model?.litellm_params ?? {};
  const shown = (field: Field): string => {
    const value = params[field];
    if (isCost(field)) return perMillion(value);
    return typeof value === 'string' || typeof value === 'number' ? String(value) : '';
  };
  const fields = Object.fromEntries(FIELDS.map((field) => [field, shown(field)])) as Record<Field, string>;
  return { name: model?.model_name ?? '', api_key: '', ...fields };
}

/** What differs from before; null removes a parameter. */
function paramsOf(draft: Draft, before: Draft | null): Readonly<Record<string, unknown>> {
  const sent = FIELDS.filter((field) => draft[field].trim() !== (before?.[field] ?? '')).map((field) => {
    const text = draft[field].trim();
    if (text === '') return [field, null] as const;
    if (isCost(field)) return [field, perToken(text)] as const;
    return [field, isNumber(field) ? Number(text) : text] as const;
  });
  return { ...Object.fromEntries(sent), ...(draft.api_key === '' ? {} : { api_key: draft.api_key }) };
}
