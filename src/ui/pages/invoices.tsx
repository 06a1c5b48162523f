import { type FormEvent, useState } from 'react';
import { Link } from 'wouter';
import type { RunAnswer, RunInvoice } from '../api/shapes-money.ts';
import { useRead, useWrite } from '../api/hooks.ts';
import { useFormats, useRights, useT } from '../context.tsx';
import { amountOf, monthsUpTo } from '../format.ts';
import { useNames } from '../names.ts';
import { Button, Card, Page, Status } from '../parts/basics.tsx';
import { Dialog, DialogButtons } from '../parts/dialog.tsx';
import { SelectField } from '../parts/form.tsx';
import { Problem, Shown } from '../parts/states.tsx';
import { CursorPager, Table, useCursors } from '../parts/table.tsx';
import { useFilters } from '../search.ts';
import { InvoiceTable } from './invoice-table.tsx';

const STATUSES = ['finalized', 'sent', 'overdue', 'paid', 'cancelled', 'draft'] as const;

export default function Invoices() {
  const t = useT();
  const { admin, agency } = useRights();
  const names = useNames();
  const [get, set] = useFilters();
  const formats = useFormats();
  const [running, setRunning] = useState(false);
  const cursors = useCursors();
  const invoices = useRead('GET /api/invoices', {
    query: {
      status: get('status'),
      period: get('period'),
      tenant_id: get('tenant'),
      cursor: cursors.cursor,
      limit: 50,
    },
    keep: true,
    live: { topics: ['invoices'] },
  });
  const filter = (name: string) => (value: string) => {
    cursors.backTo(0);
    set({ [name]: value });
  };
  return (
    <Page
      title={t('invoices')}
      lead={t('invoices.lead')}
      actions={
        admin ? (
          <Button kind="primary" onClick={() => setRunning(true)}>
            {t('run')}
          </Button>
        ) : undefined
      }
    >
      <Card flush>
        <search className="grid grid-cols-2 gap-3 px-5 pt-4 pb-3 sm:grid-cols-3">
          <SelectField
            label={t('status')}
            value={get('status')}
            onText={filter('status')}
            choices={[['', t('all')], ...STATUSES.map((status) => [status, t(`status.${status}`)] as const)]}
          />
          <SelectField
            label={t('period')}
            value={get('period')}
            onText={filter('period')}
            choices={[
              ['', t('all')],
              ...monthsUpTo(formats.today()).map((month) => [month, formats.month(month)] as const),
            ]}
          />
          {agency && (
            <SelectField
              label={t('tenant')}
              value={get('tenant')}
              onText={filter('tenant')}
              choices={[
                ['', t('all')],
                ...names.tenants.filter(({ own }) => !own).map(({ id }) => [id, names.tenant(id)] as const),
              ]}
            />
          )}
        </search>
        <Shown of={invoices}>
          {({ data, next_cursor: next }) => (
            <>
              <InvoiceTable rows={data} withTenant={agency} />
              <CursorPager of={cursors} next={next} />
            </>
          )}
        </Shown>
      </Card>
      {running && <Run onClose={() => setRunning(false)} />}
    </Page>
  );
}

function Run({ onClose }: { readonly onClose: () => void }) {
  const t = useT();
  const formats = useFormats();
  const choices = monthsUpTo(formats.today());
  const [period, setPeriod] = useState(choices[1] ?? '');
  const run = useWrite('POST /api/invoice-runs');
  if (run.data !== undefined) return <Report of={run.data} onClose={onClose} />;
  const submit = (event: FormEvent) => {
    event.preventDefault();
    run.mutate({ body: { period } });
  };
  return (
    <Dialog title={t('run')} onClose={onClose} wide fixed={run.isPending}>
      {run.error !== null && <Problem error={run.error} />}
      <form onSubmit={submit} className="flex flex-col gap-4">
        <div className="max-w-60">
          <SelectField
            label={t('period')}
            value={period}
            onText={setPeriod}
            disabled={run.isPending}
            choices={choices.map((month) => [month, formats.month(month)] as const)}
          />
        </div>
        {period === choices[0] && (
          <p className="rounded-lg bg-warn-tint px-4 py-3 text-warn">{t('run.current')}</p>
        )}
        <Preview period={period} />
        {run.isPending && <Progress period={period} />}
        <DialogButtons>
          <Button onClick={onClose} disabled={run.isPending}>
            {t('cancel')}
          </Button>
          <Button kind="primary" type="submit" busy={run.isPending}>
            {t('run.do', { month: formats.month(period) })}
          </Button>
        </DialogButtons>
      </form>
    </Dialog>
  );
}

/** How many of the tenants have their invoice; every one that is finished is told of by the server. */
function Progress({ period }: { readonly period: string }) {
  const t = useT();
  const formats = useFormats();
  const figures = useRead('GET /api/tenant-figures');
  const done = useRead('GET /api/invoices', {
    query: { period, limit: 100 },
    live: { topics: ['invoices'], gapMs: 300 },
  });
  const all = figures.data?.data.filter(({ own, plan }) => !own && plan !== null).length ?? 0;
  const ended = done.data?.data.filter(({ status }) => status !== 'draft') ?? [];
  const count = Math.min(new Set(ended.map(({ tenant_id: id }) => id)).size, all);
  // More than a page of them cannot be counted from here.
  const isCounted = done.data?.next_cursor === null && all > 0;
  return (
    <div role="status" className="flex flex-col gap-2">
      <p>{t('run.working')}</p>
      <progress
        className="h-1.5 w-full accent-[var(--accent)]"
        aria-label={t('run.working')}
        {...(isCounted ? { value: count, max: all } : {})}
      />
      {isCounted && (
        <p className="num text-sm text-soft">
          {t('run.progress', { count: formats.number(count), all: formats.number(all) })}
        </p>
      )}
    </div>
  );
}

/** What the run would bill, from the usage so far; the run itself decides to the cent. */
function Preview({ period }: { readonly period: string }) {
  const t = useT();
  const formats = useFormats();
  const names = useNames();
  const figures = useRead('GET /api/tenant-figures');
  const usage = useRead('GET /api/usage', { query: { by: 'month,tenant' } });
  const done = useRead('GET /api/invoices', { query: { period, limit: 100 } });
  return (
    <Shown of={figures} rows={3}>
      {({ data }) => {
        const billed = new Set(done.data?.data.map(({ tenant_id: id }) => id));
        const rows = data
          .filter(({ own, plan }) => !own && plan !== null)
          .map((tenant) => {
            const used = usage.data?.data.find(
              ({ group }) => group['tenant'] === tenant.id && group['month'] === period,
            );
            const beyond = Math.max(0, amountOf(used?.price) - amountOf(tenant.included_usage));
            return { ...tenant, used: amountOf(used?.price), net: amountOf(tenant.monthly_fee) + beyond };
          });
        return (
          <div className="max-h-80 overflow-y-auto rounded-lg border border-line">
            <Table
              caption={t('run.preview')}
              rows={rows}
              keyOf={({ id }) => id}
              columns={[
                { title: t('tenant'), wide: true, cell: ({ id }) => names.tenant(id) },
                {
                  title: t('plan.fee'),
                  right: true,
                  from: 'sm',
                  cell: ({ monthly_fee: fee }) => formats.money(fee ?? 0),
                },
                { title: t('usage'), right: true, from: 'sm', cell: ({ used }) => formats.money(used) },
                {
                  title: t('run.net'),
                  right: true,
                  cell: ({ id, net }) => (billed.has(id) ? t('run.billed') : formats.money(net)),
                },
              ]}
            />
          </div>
        );
      }}
    </Shown>
  );
}

function Report({ of: answer, onClose }: { readonly of: RunAnswer; readonly onClose: () => void }) {
  const t = useT();
  const formats = useFormats();
  const names = useNames();
  const rows = answer.runs.flatMap(({ invoices }) => invoices);
  const failed = rows.filter(({ status }) => status === 'failed').length;
  const textOf = ({ error, gross }: RunInvoice) =>
    error === null ? (gross === null ? '–' : formats.money(gross)) : error.message;
  return (
    <Dialog title={t('run.done', { month: formats.month(answer.period) })} onClose={onClose} wide>
      <p className={failed > 0 ? 'text-bad' : 'text-soft'}>
        {failed > 0 ? t('run.failed', { count: failed }) : t('run.fine', { count: rows.length })}
      </p>
      <div className="max-h-96 overflow-y-auto rounded-lg border border-line">
        <Table
          caption={t('invoices')}
          rows={rows}
          keyOf={({ id, tenant_id: tenant }) => `${id} ${tenant}`}
          columns={[
            { title: t('tenant'), cell: ({ tenant_id: id }) => names.tenant(id) },
            {
              title: t('invoice.number'),
              cell: ({ id, number }) =>
                number === null ? (
                  '–'
                ) : (
                  <Link href={`/invoices/${id}`} className="num rounded font-medium hover:underline">
                    {number}
                  </Link>
                ),
            },
            { title: t('status'), cell: ({ status }) => <Status of={status} /> },
            { title: t('invoice.gross'), wide: true, cell: textOf },
          ]}
        />
      </div>
      <DialogButtons>
        <Button kind="primary" onClick={onClose}>
          {t('close')}
        </Button>
      </DialogButtons>
    </Dialog>
  );
}
