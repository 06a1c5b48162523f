import { type FormEvent, useState } from 'react';
import type { Agency } from '../api/shapes-people.ts';
import { useRead, useWrite } from '../api/hooks.ts';
import { useFormats, useRights, useT } from '../context.tsx';
import { useProblems } from '../problems.ts';
import { Badge, Button, Card } from '../parts/basics.tsx';
import { SelectField, TextField } from '../parts/form.tsx';
import { Problem, Shown } from '../parts/states.tsx';

/** Who issues the invoices: what the law wants on them, and how days, amounts and numbers count. */
export function AgencySettings({ agencyId }: { readonly agencyId: string }) {
  const agencies = useRead('GET /api/agencies', { live: { topics: ['settings'] } });
  return (
    <Shown of={agencies}>
      {({ data }) => {
        const agency = data.find(({ id }) => id === agencyId);
        return agency === undefined ? null : (
          <div className="grid items-start gap-5 xl:grid-cols-[3fr_2fr]">
            <AgencyForm key={JSON.stringify(agency)} of={agency} />
            <TaxStatus agencyId={agencyId} />
          </div>
        );
      }}
    </Shown>
  );
}

const GROUPS = [
  ['agency.legal', ['name', 'street', 'postal_code', 'city', 'country', 'email']],
  ['agency.tax', ['vat_id', 'tax_number', 'register', 'management']],
  ['agency.contact', ['contact_name', 'phone', 'website']],
  ['agency.bank', ['iban', 'bic', 'bank', 'payment_days']],
] as const;
type Field = (typeof GROUPS)[number][1][number];

const REQUIRED: readonly Field[] = ['name', 'street', 'postal_code', 'city', 'country', 'email'];
/** As browsers know them, so that they can fill them in. */
const KNOWN_AS: Partial<Readonly<Record<Field, string>>> = {
  name: 'organization',
  street: 'street-address',
  postal_code: 'postal-code',
  city: 'address-level2',
  country: 'country',
  email: 'email',
  phone: 'tel',
  website: 'url',
};

type Draft = Readonly<Record<Field, string>>;

function draftOf({ contact }: Agency): Draft {
  const fields = GROUPS.flatMap(([, names]) => [...names]);
  return Object.fromEntries(
    fields.map((name) => {
      const value = contact[name];
      return [name, typeof value === 'string' || typeof value === 'number' ? String(value) : ''];
    }),
  ) as Draft;
}

function bodyOf(
  { payment_days: days, ...draft }: Draft,
  agency: Pick<Agency, 'currency' | 'zone' | 'invoice_series'>,
) {
  const texts = Object.entries(draft).map(([name, text]) => [name, text.trim() === '' ? null : text.trim()]);
  const { currency, zone, invoice_series } = agency;
  return {
    contact: { ...Object.fromEntries(texts), payment_days: Number(days === '' ? 14 : days) },
    currency,
    zone,
    invoice_series,
  };
}

function AgencyForm({ of: agency }: { readonly of: Agency }) {
  const t = useT();
  const { admin } = useRights();
  const [draft, setDraft] = useState(() => draftOf(agency));
  const [rules, setRules] = useState(agency);
  const change = useWrite('PUT /api/agencies/:id');
  const problems = useProblems(change.error);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    change.mutate({ params: { id: agency.id }, body: bodyOf(draft, rules) });
  };
  const field = (name: Field) => ({
    label: t(`agency.field.${name}`),
    value: draft[name],
    onText: (text: string) => setDraft({ ...draft, [name]: text }),
    problem: problems[`contact.${name}`],
    required: REQUIRED.includes(name),
    autoComplete: KNOWN_AS[name] ?? 'off',
  });
  return (
    <Card title={t('settings.agency')}>
      <form onSubmit={submit} className="flex flex-col gap-7">
        {change.error !== null && Object.keys(problems).length === 0 && <Problem error={change.error} />}
        {change.isSuccess && (
          <p role="status" className="rounded-lg bg-good-tint px-4 py-2.5 text-good">
            {t('agency.saved')}
          </p>
        )}
        {GROUPS.map(([word, names]) => (
          <fieldset key={word} disabled={!admin} className="min-w-0">
            <legend className="mb-3 text-sm font-semibold">{t(word)}</legend>
            <div className="grid gap-x-5 gap-y-4 sm:grid-cols-2">
              {names.map((name) => (
                <TextField
                  key={name}
                  {...field(name)}
                  {...(name === 'payment_days' ? { type: 'number', min: 0, max: 365 } : {})}
                  {...(name === 'email' ? { type: 'email' } : {})}
                />
              ))}
            </div>
          </fieldset>
        ))}
        <fieldset disabled={!admin} className="min-w-0">
          <legend className="mb-3 text-sm font-semibold">{t('agency.rules')}</legend>
          <div className="grid gap-x-5 gap-y-4 sm:grid-cols-3">
            <TextField
              label={t('settings.series')}
              hint={t('agency.series.hint', { series: rules.invoice_series })}
              required
              pattern="[A-Z0-9]{1,10}"
              value={rules.invoice_series}
              onText={(text) => setRules({ ...rules, invoice_series: text.toUpperCase() })}
              problem={problems['invoice_series']}
            />
            <TextField
              label={t('settings.zone')}
              hint={t('agency.zone.hint')}
              required
              list="zones"
              value={rules.zone}
              onText={(zone) => setRules({ ...rules, zone })}
              problem={problems['zone']}
            />
            <TextField
              label={t('settings.currency')}
              hint={t('agency.currency.hint')}
              required
              pattern="[A-Z]{3}"
              maxLength={3}
              value={rules.currency}
              onText={(text) => setRules({ ...rules, currency: text.toUpperCase() })}
              problem={problems['currency']}
            />
          </div>
          <datalist id="zones">
            {Intl.supportedValuesOf('timeZone').map((zone) => (
              <option key={zone} value={zone} />
            ))}
          </datalist>
        </fieldset>
        {admin && (
          <div className="flex flex-wrap items-center gap-4">
            <Button kind="primary" type="submit" busy={change.isPending}>
              {t('save')}
            </Button>
            <p className="text-sm text-soft">{t('agency.hint')}</p>
          </div>
        )}
      </form>
    </Card>
  );
}

const STATUSES = ['standard', 'small-business'] as const;

/** How the agency is taxed, from which day on. Months that are over keep what they had. */
function TaxStatus({ agencyId }: { readonly agencyId: string }) {
  const t = useT();
  const formats = useFormats();
  const { admin } = useRights();
  const declared = useRead('GET /api/agencies/:id/tax-status', {
    params: { id: agencyId },
    live: { topics: ['settings'] },
  });
  const [status, setStatus] = useState<string>('standard');
  const [from, setFrom] = useState(formats.today());
  const declare = useWrite('POST /api/agencies/:id/tax-status');
  const submit = (event: FormEvent) => {
    event.preventDefault();
    declare.mutate({ params: { id: agencyId }, body: { from, status } });
  };
  return (
    <Card title={t('tax.status')}>
      <Shown of={declared} rows={2}>
        {({ data }) => (
          <ul className="mb-5 flex flex-col gap-2">
            {(data.length === 0 ? [{ from: '', status: 'standard' }] : data.toReversed()).map((one) => (
              <li key={`${one.from} ${one.status}`} className="flex items-center justify-between gap-3">
                <Badge tone={one.status === 'standard' ? 'calm' : 'accent'}>
                  {t(`tax.${one.status as 'standard'}`)}
                </Badge>
                <span className="text-soft">
                  {one.from === '' ? t('tax.always') : t('tax.from', { day: formats.day(one.from) })}
                </span>
              </li>
            ))}
          </ul>
        )}
      </Shown>
      {admin && (
        <form onSubmit={submit} className="flex flex-col gap-4 border-t border-line pt-4">
          {declare.error !== null && <Problem error={declare.error} />}
          <div className="grid gap-4 sm:grid-cols-2">
            <SelectField
              label={t('tax.status')}
              value={status}
              onText={setStatus}
              choices={STATUSES.map((one) => [one, t(`tax.${one}`)] as const)}
            />
            <TextField label={t('tax.day')} type="date" required value={from} onText={setFrom} />
          </div>
          <p className="text-sm text-soft">{t('tax.hint')}</p>
          <div>
            <Button type="submit" busy={declare.isPending}>
              {t('tax.declare')}
            </Button>
          </div>
        </form>
      )}
    </Card>
  );
}
