import type { Plan } from '../api/shapes-keys.ts';
import { useFormats, useT } from '../context.tsx';
import { Button } from '../parts/basics.tsx';
import { CheckField, SelectField, TextField } from '../parts/form.tsx';

/** The fields of the guided form, step by step. */
export const COUNTRY_DEFAULT = 'DE';

export interface DraftProject {
  readonly name: string;
  readonly staging: boolean;
}

const ADDRESS = ['name', 'street', 'postal_code', 'city', 'country', 'email', 'vat_id'] as const;
type AddressField = (typeof ADDRESS)[number];

export interface Draft {
  readonly name: string;
  readonly billing: Readonly<Record<AddressField, string>>;
  readonly language: string;
  readonly eInvoice: string;
  readonly plan: string;
  readonly projects: readonly DraftProject[];
}

export function BillingFields({
  draft,
  onChange,
  problems,
}: {
  readonly draft: Draft;
  readonly onChange: (part: Partial<Draft>) => void;
  readonly problems: Readonly<Record<string, string>>;
}) {
  const t = useT();
  const { billing } = draft;
  const field = (name: AddressField) => ({
    label: t(`billing.${name}`),
    value: billing[name],
    onText: (text: string) => onChange({ billing: { ...billing, [name]: text } }),
    problem: problems[`billing.${name}`],
  });
  return (
    <div className="grid gap-x-5 gap-y-4 sm:grid-cols-6">
      <div className="sm:col-span-6">
        <TextField {...field('name')} required autoFocus autoComplete="organization" maxLength={200} />
      </div>
      <div className="sm:col-span-6">
        <TextField
          label={t('tenant.called')}
          hint={t('tenant.called.hint')}
          value={draft.name}
          onText={(name) => onChange({ name })}
          problem={problems['name']}
        />
      </div>
      <div className="sm:col-span-6">
        <TextField {...field('street')} required autoComplete="street-address" />
      </div>
      <div className="sm:col-span-2">
        <TextField {...field('postal_code')} required autoComplete="postal-code" />
      </div>
      <div className="sm:col-span-3">
        <TextField {...field('city')} required autoComplete="address-level2" />
      </div>
      <TextField
        {...field('country')}
        required
        pattern="[A-Z]{2}"
        maxLength={2}
        title={t('billing.country.rule')}
        autoComplete="country"
      />
      <div className="sm:col-span-3">
        <TextField {...field('email')} type="email" required />
      </div>
      <div className="sm:col-span-3">
        <TextField {...field('vat_id')} hint={t('billing.vat.hint')} />
      </div>
      <div className="sm:col-span-3">
        <SelectField
          label={t('billing.language')}
          value={draft.language}
          onText={(language) => onChange({ language })}
          choices={[
            ['de', t('language.de')],
            ['en', t('language.en')],
          ]}
        />
      </div>
      <div className="sm:col-span-3">
        <SelectField
          label={t('invoice.format')}
          value={draft.eInvoice}
          onText={(eInvoice) => onChange({ eInvoice })}
          choices={[
            ['zugferd', 'ZUGFeRD (PDF + XML)'],
            ['xrechnung-cii', 'XRechnung (CII)'],
            ['xrechnung-ubl', 'XRechnung (UBL)'],
          ]}
        />
      </div>
    </div>
  );
}

export function PlanChoice({
  plans,
  chosen,
  onChoose,
}: {
  readonly plans: readonly Plan[];
  readonly chosen: string;
  readonly onChoose: (plan: string) => void;
}) {
  const t = useT();
  const formats = useFormats();
  const sorted = plans.toSorted(
    (a, b) => Number(a.terms.monthly_fee.amount) - Number(b.terms.monthly_fee.amount),
  );
  return (
    <fieldset>
      <legend className="sr-only">{t('plan')}</legend>
      <div className="grid gap-3 sm:grid-cols-3">
        {sorted.map(({ name, version, terms }) => (
          <label
            key={name}
            className="flex cursor-pointer flex-col gap-1 rounded-xl border border-strong p-4 has-checked:border-accent has-checked:bg-tint has-focus-visible:outline-2 has-focus-visible:outline-accent"
          >
            <input
              type="radio"
              name="plan"
              value={name}
              checked={chosen === name}
              onChange={() => onChoose(name)}
              className="sr-only"
            />
            <span className="font-semibold capitalize">{name}</span>
            <span className="num text-xl font-semibold">
              {formats.money(terms.monthly_fee)}{' '}
              <span className="text-sm font-normal text-soft">{t('month.per')}</span>
            </span>
            <span className="text-sm text-soft">
              {t('plan.includes', { sum: formats.money(terms.included_usage) })}
            </span>
            <span className="text-sm text-soft">
              {t('plan.rate', { count: formats.number(terms.limits.production.requests_per_minute ?? 0) })}
            </span>
            <span className="text-sm text-soft">{t('plan.version', { version })}</span>
          </label>
        ))}
      </div>
    </fieldset>
  );
}

export function ProjectFields({
  projects,
  onChange,
}: {
  readonly projects: readonly DraftProject[];
  readonly onChange: (projects: readonly DraftProject[]) => void;
}) {
  const t = useT();
  const change = (index: number, part: Partial<DraftProject>) =>
    onChange(projects.map((project, at) => (at === index ? { ...project, ...part } : project)));
  return (
    <div className="flex flex-col gap-4">
      <p className="text-soft">{t('onboard.projects.lead')}</p>
      {projects.map((project, index) => (
        <div key={index} className="flex flex-wrap items-end gap-x-5 gap-y-2">
          <div className="min-w-60 flex-1">
            <TextField
              label={t('onboard.project', { number: index + 1 })}
              value={project.name}
              autoFocus={index === 0}
              onText={(name) => change(index, { name })}
            />
          </div>
          <CheckField
            label={t('project.staging')}
            checked={project.staging}
            onCheck={(staging) => change(index, { staging })}
          />
          <Button
            kind="quiet"
            disabled={projects.length === 1}
            aria-label={t('onboard.remove', { number: index + 1 })}
            onClick={() => onChange(projects.filter((_, at) => at !== index))}
          >
            {t('remove')}
          </Button>
        </div>
      ))}
      <div>
        <Button icon="plus" onClick={() => onChange([...projects, { name: '', staging: true }])}>
          {t('onboard.more')}
        </Button>
      </div>
    </div>
  );
}
