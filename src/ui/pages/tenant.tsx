import { useState } from 'react';
import { Link } from 'wouter';
import type { Project, Tenant as TenantFacts } from '../api/shapes-keys.ts';
import { useRead, useWrite } from '../api/hooks.ts';
import { useFormats, useRights, useT } from '../context.tsx';
import { addDays, amountOf, daysBetween } from '../format.ts';
import { useNames } from '../names.ts';
import { Button, Card, Facts, Figure, LinkButton, Page, Status, Time } from '../parts/basics.tsx';
import { BarChart } from '../parts/chart.tsx';
import { CancelOrSend, Dialog, Kept } from '../parts/dialog.tsx';
import { CheckField, TextField } from '../parts/form.tsx';
import { Secrets } from '../parts/secret.tsx';
import { Empty, Problem, Shown } from '../parts/states.tsx';
import { Table } from '../parts/table.tsx';
import { InvoiceTable } from './invoice-table.tsx';
import { ContractHistory } from './contract-history.tsx';
import { ContractCard } from './tenant-contract.tsx';
import { seriesBy } from './usage-series.ts';
import { useProblems } from '../problems.ts';

const DAYS = 30;

export default function Tenant({ id }: { readonly id: string }) {
  const t = useT();
  const { admin } = useRights();
  const details = useRead('GET /api/tenants/:id', { params: { id }, live: { topics: ['tenants', 'keys'] } });
  const [opening, setOpening] = useState(false);
  return (
    <Shown of={details}>
      {({ tenant, contract, planned, projects }) => (
        <Page
          title={tenant.name ?? tenant.id}
          lead={
            <span className="flex flex-wrap items-center gap-3">
              <Status of={tenant.status} />
              <span>
                {t('since')} <Time at={tenant.onboarded_at} as="date" />
              </span>
            </span>
          }
          back={{ to: '/tenants', label: t('tenants') }}
          actions={
            <>
              <LinkButton to={`/usage?tenant=${id}&by=project`} icon="usage">
                {t('usage')}
              </LinkButton>
              <LinkButton to={`/keys?tenant=${id}`} icon="keys">
                {t('keys')}
              </LinkButton>
              {admin && (
                <Button kind="primary" icon="plus" onClick={() => setOpening(true)}>
                  {t('project.open')}
                </Button>
              )}
            </>
          }
        >
          <Month id={id} />
          <div className="grid items-start gap-5 xl:grid-cols-[3fr_2fr]">
            <div className="flex min-w-0 flex-col gap-5">
              <Spend id={id} />
              <Projects projects={projects} />
              <Invoices id={id} />
            </div>
            <div className="flex min-w-0 flex-col gap-5">
              {!tenant.own && <ContractCard tenantId={id} contract={contract} planned={planned} />}
              {!tenant.own && <ContractHistory tenantId={id} />}
              <Billing tenant={tenant} />
            </div>
          </div>
          {opening && <OpenProject tenantId={id} onClose={() => setOpening(false)} />}
        </Page>
      )}
    </Shown>
  );
}

function Month({ id }: { readonly id: string }) {
  const t = useT();
  const formats = useFormats();
  const figures = useRead('GET /api/tenant-figures', {
    query: { tenant_id: id },
    live: { topics: ['usage', 'tenants'], gapMs: 3_000 },
  });
  const [one] = figures.data?.data ?? [];
  if (one === undefined) return null;
  const beyond = Math.max(0, amountOf(one.spent) - amountOf(one.included_usage));
  return (
    <div className="grid grid-cols-2 gap-3 lg:grid-cols-4">
      <Figure
        label={t('tenant.month', { month: formats.month(one.month) })}
        value={formats.money(one.spent)}
        to={`/usage?tenant=${id}`}
        note={t('invoices.requests', { count: formats.number(one.requests) })}
      />
      <Figure
        label={t('tenants.included')}
        value={formats.money(one.included_usage ?? 0)}
        note={t('tenant.included.note')}
      />
      <Figure
        label={t('tenant.expected')}
        value={formats.money(amountOf(one.monthly_fee) + beyond)}
        note={t('tenant.expected.note', { fee: formats.money(one.monthly_fee ?? 0) })}
      />
      <Figure label={t('keys')} value={formats.number(one.keys)} to={`/keys?tenant=${id}`} />
    </div>
  );
}

function Spend({ id }: { readonly id: string }) {
  const t = useT();
  const formats = useFormats();
  const names = useNames();
  const to = formats.today();
  const from = addDays(to, 1 - DAYS);
  const days = daysBetween(from, to);
  const usage = useRead('GET /api/usage', {
    query: { by: 'day,project', tenant_id: id, from, to },
    live: { topics: ['usage'], gapMs: 3_000 },
  });
  return (
    <Card title={t('overview.spend')}>
      <Shown of={usage}>
        {({ data }) =>
          data.length === 0 ? (
            <Empty icon="usage" title={t('usage.none')} />
          ) : (
            <BarChart
              title={t('overview.spend')}
              labels={days}
              series={seriesBy(data, days, 'project', names.project, t('others'))}
              format={(value) => formats.money(value)}
              formatLabel={formats.shortDay}
              height={190}
            />
          )
        }
      </Shown>
    </Card>
  );
}

function Projects({ projects }: { readonly projects: readonly Project[] }) {
  const t = useT();
  const rows = projects.flatMap((project) => project.keys.map((key) => ({ project, key })));
  return (
    <Card title={t('projects')} flush>
      {projects.length === 0 ? (
        <Empty icon="keys" title={t('projects.none')} />
      ) : (
        <Table
          caption={t('projects')}
          keyOf={({ key }) => key.id}
          rows={rows}
          columns={[
            { title: t('project'), cell: ({ project }) => project.name ?? project.id },
            {
              title: t('key'),
              wide: true,
              cell: ({ key }) => (
                <Link href={`/keys/${key.id}`} className="rounded font-medium hover:underline">
                  {key.alias ?? key.id}
                </Link>
              ),
            },
            { title: t('environment'), from: 'md', cell: ({ key }) => key.environment ?? '–' },
            { title: t('status'), cell: ({ key }) => <Status of={key.status} /> },
          ]}
        />
      )}
    </Card>
  );
}

function Invoices({ id }: { readonly id: string }) {
  const t = useT();
  const invoices = useRead('GET /api/invoices', {
    query: { tenant_id: id, limit: 12 },
    live: { topics: ['invoices'] },
  });
  return (
    <Card title={t('invoices')} flush>
      <Shown of={invoices}>{({ data }) => <InvoiceTable rows={data} withTenant={false} />}</Shown>
    </Card>
  );
}

function Billing({ tenant }: { readonly tenant: TenantFacts }) {
  const t = useT();
  const { billing } = tenant;
  if (billing === null) return null;
  const { name, street, postal_code: code, city, country, email, vat_id: vat } = billing;
  return (
    <Card title={t('billing')}>
      <address className="not-italic">
        {name}
        <br />
        {street}
        <br />
        {code} {city}, {country}
      </address>
      <div className="mt-3">
        <Facts
          items={[
            [t('email'), email],
            [t('vat'), vat ?? '–'],
            [t('invoice.format'), billing['e_invoice'] ?? '–'],
          ]}
        />
      </div>
    </Card>
  );
}

function OpenProject({ tenantId, onClose }: { readonly tenantId: string; readonly onClose: () => void }) {
  const t = useT();
  const [name, setName] = useState('');
  const [staging, setStaging] = useState(true);
  const open = useWrite('POST /api/projects');
  const problems = useProblems(open.error);
  const made = open.data?.project;
  if (made !== undefined) {
    const secrets = made.keys.map(({ alias, id, secret }) => ({ name: alias ?? id, secret }));
    return (
      <Dialog title={t('project.opened', { name })} onClose={onClose} wide fixed>
        <Secrets secrets={secrets} file={name} />
        <Kept onClose={onClose} />
      </Dialog>
    );
  }
  return (
    <Dialog title={t('project.open')} onClose={onClose}>
      {open.error !== null && <Problem error={open.error} />}
      <form
        className="flex flex-col gap-4"
        onSubmit={(event) => {
          event.preventDefault();
          const environments = staging ? ['production', 'staging'] : ['production'];
          open.mutate({ body: { tenant_id: tenantId, name, environments } });
        }}
      >
        <TextField
          label={t('project.name')}
          required
          autoFocus
          value={name}
          onText={setName}
          problem={problems['name']}
        />
        <CheckField label={t('project.staging')} checked={staging} onCheck={setStaging} />
        <CancelOrSend onClose={onClose} busy={open.isPending}>
          {t('project.open')}
        </CancelOrSend>
      </form>
    </Dialog>
  );
}
