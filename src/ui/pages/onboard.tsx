import { type FormEvent, useState } from 'react';
import type { NewTenant, Plan } from '../api/shapes-keys.ts';
import { useRead, useWrite } from '../api/hooks.ts';
import { useFormats, useT } from '../context.tsx';
import { Button, Card, Facts, LinkButton, Page } from '../parts/basics.tsx';
import { Problem, Shown } from '../parts/states.tsx';
import { Secrets } from '../parts/secret.tsx';
import { LimitTable } from './limit-table.tsx';
import {
  BillingFields,
  COUNTRY_DEFAULT,
  type Draft,
  type DraftProject,
  PlanChoice,
  ProjectFields,
} from './onboard-fields.tsx';
import { useProblems } from '../problems.ts';

const STEPS = ['company', 'plan', 'projects', 'review'] as const;
type Step = (typeof STEPS)[number];

const EMPTY: Draft = {
  name: '',
  billing: {
    name: '',
    street: '',
    postal_code: '',
    city: '',
    country: COUNTRY_DEFAULT,
    email: '',
    vat_id: '',
  },
  language: 'de',
  eInvoice: 'zugferd',
  plan: '',
  projects: [{ name: '', staging: true }],
};

/** The guided way from a company to its first secrets, in four steps that can be gone back. */
export default function Onboard() {
  const t = useT();
  const plans = useRead('GET /api/plans');
  const [draft, setDraft] = useState(EMPTY);
  const [step, setStep] = useState<Step>('company');
  const onboard = useWrite('POST /api/tenants');
  const problems = useProblems(onboard.error);
  const at = STEPS.indexOf(step);
  if (onboard.data !== undefined) return <Done made={onboard.data} />;
  const change = (part: Partial<Draft>) => setDraft((before) => ({ ...before, ...part }));
  const submit = (event: FormEvent) => {
    event.preventDefault();
    const next = STEPS[at + 1];
    if (next !== undefined) setStep(next);
    else onboard.mutate({ body: bodyOf(draft) });
  };
  return (
    <Page title={t('tenants.onboard')} back={{ to: '/tenants', label: t('tenants') }}>
      <ol className="flex flex-wrap gap-x-6 gap-y-2" aria-label={t('steps')}>
        {STEPS.map((one, index) => (
          <li
            key={one}
            aria-current={one === step ? 'step' : undefined}
            className={`flex items-center gap-2 ${index <= at ? 'text-accent' : 'text-soft'}`}
          >
            <span
              className={`num grid size-6 place-items-center rounded-full text-sm font-semibold ${index < at ? 'bg-accent text-on-accent' : index === at ? 'bg-tint ring-1 ring-accent' : 'bg-sunken'}`}
            >
              {index + 1}
            </span>
            <span className={one === step ? 'font-medium' : ''}>{t(`onboard.${one}`)}</span>
          </li>
        ))}
      </ol>
      <Card className="max-w-4xl">
        {onboard.error !== null && <Problem error={onboard.error} />}
        <form onSubmit={submit} className="flex flex-col gap-6 pt-3">
          {step === 'company' && <BillingFields draft={draft} onChange={change} problems={problems} />}
          {step === 'plan' && (
            <Shown of={plans}>
              {({ data }) => (
                <PlanChoice plans={data} chosen={draft.plan} onChoose={(plan) => change({ plan })} />
              )}
            </Shown>
          )}
          {step === 'projects' && (
            <ProjectFields projects={draft.projects} onChange={(projects) => change({ projects })} />
          )}
          {step === 'review' && (
            <Review draft={draft} plan={plans.data?.data.find(({ name }) => name === draft.plan)} />
          )}
          <div className="flex justify-between border-t border-line pt-5">
            <Button disabled={at === 0} onClick={() => setStep(STEPS[at - 1] ?? step)}>
              {t('back')}
            </Button>
            <Button
              kind="primary"
              type="submit"
              busy={onboard.isPending}
              disabled={step === 'plan' && draft.plan === ''}
            >
              {step === 'review' ? t('onboard.do') : t('continue')}
            </Button>
          </div>
        </form>
      </Card>
    </Page>
  );
}

function bodyOf({ name, billing, language, eInvoice, plan, projects }: Draft) {
  const { vat_id: vat, ...address } = billing;
  return {
    name: name.trim() || billing.name,
    plan,
    billing: {
      ...address,
      language,
      e_invoice: eInvoice,
      ...(vat.trim() === '' ? {} : { vat_id: vat.trim() }),
    },
    projects: named(projects).map((project) => ({
      name: project.name.trim(),
      environments: project.staging ? ['production', 'staging'] : ['production'],
    })),
  };
}

function named(projects: readonly DraftProject[]): readonly DraftProject[] {
  return projects.filter(({ name }) => name.trim() !== '');
}

function Review({ draft, plan }: { readonly draft: Draft; readonly plan: Plan | undefined }) {
  const t = useT();
  const formats = useFormats();
  if (plan === undefined) return null;
  const { terms } = plan;
  const projects = named(draft.projects);
  const keys = projects.reduce((sum, { staging }) => sum + (staging ? 2 : 1), 0);
  return (
    <div className="grid gap-8 lg:grid-cols-2">
      <section>
        <h2 className="mb-3 font-semibold">{draft.name.trim() || draft.billing.name}</h2>
        <Facts
          items={[
            [t('billing'), `${draft.billing.street}, ${draft.billing.postal_code} ${draft.billing.city}`],
            [t('email'), draft.billing.email],
            [t('plan'), `${plan.name} v${plan.version}`],
            [t('projects'), projects.map(({ name }) => name).join(', ') || '–'],
            [t('keys'), t('onboard.keys', { count: keys })],
          ]}
        />
      </section>
      <section>
        <h2 className="mb-3 font-semibold">{t('onboard.first')}</h2>
        <table className="w-full">
          <tbody>
            <tr>
              <td className="py-1 text-soft">{t('onboard.fee', { plan: plan.name })}</td>
              <td className="num py-1 text-right">{formats.money(terms.monthly_fee)}</td>
            </tr>
            <tr>
              <td className="py-1 text-soft">
                {t('onboard.usage', { included: formats.money(terms.included_usage) })}
              </td>
              <td className="num py-1 text-right">{formats.money(0)}</td>
            </tr>
            <tr className="font-semibold">
              <td className="py-1.5 ruled">{t('onboard.net')}</td>
              <td className="num py-1.5 text-right ruled">{formats.money(terms.monthly_fee)}</td>
            </tr>
          </tbody>
        </table>
        <p className="mt-2 text-sm text-soft">{t('onboard.first.note')}</p>
      </section>
      <section className="lg:col-span-2">
        <h2 className="mb-2 font-semibold">{t('onboard.limits')}</h2>
        <LimitTable
          columns={[
            [t('env.production'), terms.limits.production],
            [t('env.staging'), terms.limits.staging],
            [t('tenant'), terms.tenant_limits],
          ]}
        />
      </section>
    </div>
  );
}

function Done({ made }: { readonly made: NewTenant }) {
  const t = useT();
  const name = made.tenant.name ?? made.tenant.id;
  const secrets = made.projects.flatMap(({ keys }) =>
    keys.map(({ alias, id, secret }) => ({ name: alias ?? id, secret })),
  );
  return (
    <Page title={t('onboard.done', { name })} lead={t('onboard.done.lead')}>
      <Card className="max-w-4xl">
        {secrets.length > 0 && <Secrets secrets={secrets} file={name} />}
        <div className="mt-5 flex justify-end">
          <LinkButton to={`/tenants/${made.tenant.id}`} kind="primary">
            {t('onboard.to')}
          </LinkButton>
        </div>
      </Card>
    </Page>
  );
}
