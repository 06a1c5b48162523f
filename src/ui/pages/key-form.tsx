import { type FormEvent, useState } from 'react';
import type { Key } from '../api/shapes-keys.ts';
import { useRead, useWrite } from '../api/hooks.ts';
import { useT } from '../context.tsx';
import { useNames } from '../names.ts';
import { CancelOrSend, Dialog, Kept } from '../parts/dialog.tsx';
import { CheckField, SelectField, TextField } from '../parts/form.tsx';
import { Secrets } from '../parts/secret.tsx';
import { Problem } from '../parts/states.tsx';
import { useProblems } from '../problems.ts';

/** Makes a key, or changes the limits of one. What is left empty is what the contract gives. */
interface Fields {
  readonly alias: string;
  readonly project: string;
  readonly environment: string;
  readonly budget: string;
  readonly window: string;
  readonly rpm: string;
  readonly tpm: string;
  readonly parallel: string;
  readonly expires: string;
  readonly models: readonly string[];
}

function fieldsOf(key: Key | undefined, projectId: string): Fields {
  const text = (value: number | null | undefined) => (value == null ? '' : String(value));
  return {
    alias: key?.key_alias ?? '',
    project: key?.team_id ?? projectId,
    environment: key?.environment ?? 'production',
    budget: text(key?.max_budget),
    window: key?.budget_duration ?? '1mo',
    rpm: text(key?.rpm_limit),
    tpm: text(key?.tpm_limit),
    parallel: text(key?.max_parallel_requests),
    expires: key?.expires?.slice(0, 10) ?? '',
    models: key?.models ?? [],
  };
}

/** Only what differs is sent, so that what the contract resolved stays as it is. */
function changesOf(fields: Fields, before: Fields): Record<string, unknown> {
  const whole = (text: string) => (text.trim() === '' ? null : Number(text));
  const changed: Record<string, unknown> = {};
  if (fields.alias !== before.alias) changed['key_alias'] = fields.alias.trim() || null;
  if (fields.budget !== before.budget || (fields.budget !== '' && fields.window !== before.window)) {
    changed['max_budget'] = fields.budget.trim() === '' ? null : fields.budget.trim().replace(',', '.');
    if (fields.budget.trim() !== '') changed['budget_duration'] = fields.window;
  }
  if (fields.rpm !== before.rpm) changed['rpm_limit'] = whole(fields.rpm);
  if (fields.tpm !== before.tpm) changed['tpm_limit'] = whole(fields.tpm);
  if (fields.parallel !== before.parallel) changed['max_parallel_requests'] = whole(fields.parallel);
  if (fields.expires !== before.expires) {
    if (fields.expires === '') changed['duration'] = '-1';
    else changed['expires'] = fields.expires;
  }
  if (fields.models.join() !== before.models.join()) changed['models'] = fields.models;
  return changed;
}

interface FormProps {
  readonly onClose: () => void;
  /** The key to change; none: a new one is made. */
  readonly of?: Key;
  readonly projectId?: string;
}

export function KeyForm({ onClose, of: key, projectId = '' }: FormProps) {
  const t = useT();
  const [before] = useState(() => fieldsOf(key, projectId));
  const [fields, setFields] = useState(before);
  const make = useWrite('POST /key/generate');
  const update = useWrite('POST /key/update', onClose);
  const error = make.error ?? update.error;
  const problems = useProblems(error);
  const title = key === undefined ? t('key.make') : t('key.change', { name: key.key_alias ?? key.key_id });
  if (make.data !== undefined) {
    const name = make.data.key_alias ?? make.data.key_id;
    return (
      <Dialog title={t('key.made', { name })} onClose={onClose} wide fixed>
        <Secrets secrets={[{ name, secret: make.data.key }]} file={name} />
        <Kept onClose={onClose} />
      </Dialog>
    );
  }
  const submit = (event: FormEvent) => {
    event.preventDefault();
    const changes = changesOf(fields, before);
    if (key !== undefined) return update.mutate({ body: { key: key.key_id, ...changes } });
    const place = fields.project === '' ? {} : { team_id: fields.project, environment: fields.environment };
    const given = Object.fromEntries(Object.entries(changes).filter(([, value]) => value !== null));
    make.mutate({ body: { ...place, ...given } });
  };
  return (
    <Dialog title={title} onClose={onClose} wide>
      {error !== null && <Problem error={error} />}
      <form onSubmit={submit} className="flex flex-col gap-5">
        <FormFields
          fields={fields}
          isNew={key === undefined}
          problems={problems}
          onChange={(part) => setFields((now) => ({ ...now, ...part }))}
        />
        <CancelOrSend onClose={onClose} busy={make.isPending || update.isPending}>
          {key === undefined ? t('key.make') : t('save')}
        </CancelOrSend>
      </form>
    </Dialog>
  );
}

function FormFields({
  fields,
  isNew,
  problems,
  onChange,
}: {
  readonly fields: Fields;
  readonly isNew: boolean;
  readonly problems: Readonly<Record<string, string>>;
  readonly onChange: (part: Partial<Fields>) => void;
}) {
  const t = useT();
  const names = useNames();
  const projects = names.projects.map(
    ({ id, tenant_id: tenant }) => [id, `${names.tenant(tenant)} · ${names.project(id)}`] as const,
  );
  const number = (name: 'rpm' | 'tpm' | 'parallel', field: string) => ({
    label: t(`limit.${name}`),
    inputMode: 'numeric' as const,
    pattern: '[0-9]*',
    placeholder: t('limit.contract'),
    value: fields[name],
    onText: (text: string) => onChange({ [name]: text }),
    problem: problems[field],
  });
  return (
    <div className="grid gap-x-5 gap-y-4 sm:grid-cols-6">
      <div className="sm:col-span-6">
        <TextField
          label={t('key.alias')}
          autoFocus
          value={fields.alias}
          onText={(alias) => onChange({ alias })}
          problem={problems['key_alias']}
        />
      </div>
      {isNew && (
        <>
          <div className="sm:col-span-4">
            <SelectField
              label={t('project')}
              value={fields.project}
              onText={(project) => onChange({ project })}
              choices={[['', t('key.own')], ...projects]}
              problem={problems['team_id']}
            />
          </div>
          <div className="sm:col-span-2">
            <SelectField
              label={t('environment')}
              value={fields.environment}
              onText={(environment) => onChange({ environment })}
              choices={[
                ['production', t('env.production')],
                ['staging', t('env.staging')],
              ]}
            />
          </div>
        </>
      )}
      <div className="sm:col-span-3">
        <TextField
          label={t('budget')}
          inputMode="decimal"
          pattern="[0-9]+([.,][0-9]+)?"
          placeholder={t('limit.contract')}
          value={fields.budget}
          onText={(budget) => onChange({ budget })}
          problem={problems['max_budget']}
        />
      </div>
      <div className="sm:col-span-3">
        <SelectField
          label={t('budget.window')}
          value={fields.window}
          onText={(window) => onChange({ window })}
          choices={[
            ['1d', t('window.1d')],
            ['7d', t('window.7d')],
            ['1mo', t('window.1mo')],
          ]}
        />
      </div>
      <div className="sm:col-span-2">
        <TextField {...number('rpm', 'rpm_limit')} />
      </div>
      <div className="sm:col-span-2">
        <TextField {...number('tpm', 'tpm_limit')} />
      </div>
      <div className="sm:col-span-2">
        <TextField {...number('parallel', 'max_parallel_requests')} />
      </div>
      <div className="sm:col-span-3">
        <TextField
          label={t('key.expires')}
          type="date"
          hint={t('key.expires.hint')}
          value={fields.expires}
          onText={(expires) => onChange({ expires })}
          problem={problems['expires'] ?? problems['duration']}
        />
      </div>
      <div className="sm:col-span-6">
        <ModelChoice chosen={fields.models} onChoose={(models) => onChange({ models })} />
      </div>
    </div>
  );
}

function ModelChoice({
  chosen,
  onChoose,
}: {
  readonly chosen: readonly string[];
  readonly onChoose: (models: readonly string[]) => void;
}) {
  const t = useT();
  const models = useRead('GET /v1/models');
  const known = [...new Set([...(models.data?.data.map(({ id }) => id) ?? []), ...chosen])];
  return (
    <fieldset>
      <legend className="text-sm font-medium">{t('models')}</legend>
      <p className="text-sm text-soft">{t('key.models.hint')}</p>
      <div className="mt-1 flex flex-wrap gap-x-5">
        {known.map((model) => (
          <CheckField
            key={model}
            label={model}
            checked={chosen.includes(model)}
            onCheck={(checked) =>
              onChoose(checked ? [...chosen, model] : chosen.filter((other) => other !== model))
            }
          />
        ))}
      </div>
    </fieldset>
  );
}
