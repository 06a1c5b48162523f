import { type FormEvent, useState } from 'react';
import { Link } from 'wouter';
import type { InvoiceDetails, InvoiceLine } from '../api/shapes-money.ts';
import { useRead, useWrite } from '../api/hooks.ts';
import { useFormats, useRights, useT } from '../context.tsx';
import { useNames } from '../names.ts';
import { Badge, Button, Card, Facts, Page, Status } from '../parts/basics.tsx';
import { CancelOrSend, Dialog } from '../parts/dialog.tsx';
import { CheckField, TextField } from '../parts/form.tsx';
import { Icon } from '../parts/icons.tsx';
import { Problem, Shown } from '../parts/states.tsx';
import { type Column, Table } from '../parts/table.tsx';
import { isWord } from '../words/words.ts';
import { CollectionCard } from './invoice-collection.tsx';
import { InvoiceTasks } from './outbox.tsx';
import { useProblems } from '../problems.ts';

export default function Invoice({ id }: { readonly id: string }) {
  const t = useT();
  const formats = useFormats();
  const names = useNames();
  const { admin, agency } = useRights();
  const invoice = useRead('GET /api/invoices/:id', { params: { id } });
  return (
    <Shown of={invoice}>
      {(data) => (
        <Page
          title={data.number === null ? t('status.draft') : t('invoice.title', { number: data.number })}
          lead={
            <span className="flex flex-wrap items-center gap-3">
              <Status of={data.status} />
              {agency ? (
                <Link href={`/tenants/${data.tenant_id}`} className="rounded hover:underline">
                  {names.tenant(data.tenant_id)}
                </Link>
              ) : (
                names.tenant(data.tenant_id)
              )}
              <span>{formats.month(data.period)}</span>
            </span>
          }
          back={{ to: '/invoices', label: t('invoices') }}
          actions={admin && <Actions of={data} />}
        >
          <div className="grid items-start gap-5 xl:grid-cols-[3fr_2fr]">
            <Card title={t('invoice.lines')} flush>
              <Lines of={data} />
            </Card>
            <div className="flex min-w-0 flex-col gap-5">
              <Summary of={data} />
              {data.collection !== null && <CollectionCard of={data.collection} />}
              <Files of={data} />
              {agency && data.number !== null && <InvoiceTasks id={data.id} />}
              {admin && data.number !== null && <Proof id={data.id} />}
            </div>
          </div>
        </Page>
      )}
    </Shown>
  );
}

function Lines({ of: invoice }: { readonly of: InvoiceDetails }) {
  const t = useT();
  const formats = useFormats();
  const names = useNames();
  const monthly = (line: InvoiceLine) => {
    const last = new Date(
      Date.UTC(Number(line.service_month.slice(0, 4)), Number(line.service_month.slice(5, 7)), 0),
    );
    return `/requests?from=${line.service_month}-01&to=${last.toISOString().slice(0, 10)}&tenant=${invoice.tenant_id}${line.project_id === null ? '' : `&project=${line.project_id}`}${line.model === null ? '' : `&model=${encodeURIComponent(line.model)}`}`;
  };
  const kindOf = (kind: string) => {
    const word = `line.${kind}`;
    return isWord(word) ? t(word) : kind;
  };
  const columns: readonly Column<InvoiceLine>[] = [
    {
      title: t('invoice.position'),
      wide: true,
      cell: (line) => {
        const unit = `unit.${line.unit ?? ''}`;
        const text =
          line.model === null ? kindOf(line.kind) : `${line.model} · ${isWord(unit) ? t(unit) : line.unit}`;
        return (
          <>
            {line.kind === 'usage' ? (
              <Link href={monthly(line)} className="rounded hover:underline">
                {text}
              </Link>
            ) : (
              text
            )}
            <span className="block text-sm text-soft">
              {line.project_id === null ? '' : `${names.project(line.project_id)} · `}
              {formats.month(line.service_month)}
            </span>
          </>
        );
      },
    },
    {
      title: t('invoice.quantity'),
      right: true,
      from: 'sm',
      cell: ({ quantity, kind }) => (kind === 'usage' ? formats.number(quantity) : '–'),
    },
    {
      title: t('invoice.price'),
      right: true,
      from: 'md',
      cell: ({ price_per_million: price }) => (price === null ? '–' : formats.money(price)),
    },
    { title: t('invoice.amount'), right: true, cell: ({ amount }) => formats.money(amount) },
  ];
  const rest = 'hidden sm:table-cell';
  const sum = (label: string, value: string, strong = false) => (
    <tr key={label} className={strong ? 'font-semibold' : ''}>
      <td className={`px-5 py-1.5 ${strong ? 'ruled' : ''}`}>{label}</td>
      <td className={`${rest} ${strong ? 'ruled' : ''}`} />
      <td className={`hidden md:table-cell ${strong ? 'ruled' : ''}`} />
      <td className={`num px-3 py-1.5 pr-5 text-right ${strong ? 'ruled' : ''}`}>{value}</td>
    </tr>
  );
  return (
    <div className="pb-4">
      <Table
        caption={t('invoice.lines')}
        columns={columns}
        rows={invoice.lines}
        keyOf={(line) =>
          [
            line.kind,
            line.project_id,
            line.model,
            line.unit,
            line.service_month,
            line.price_per_million?.amount,
          ].join(' ')
        }
        foot={
          <>
            {sum(t('invoice.net'), formats.money(invoice.net))}
            {invoice.taxes.map(({ rate_percent: rate, tax, category }) =>
              sum(`${t('invoice.tax')} ${rate} % (${category})`, formats.money(tax)),
            )}
            {sum(t('invoice.gross'), formats.money(invoice.gross), true)}
          </>
        }
      />
    </div>
  );
}

function Summary({ of: invoice }: { readonly of: InvoiceDetails }) {
  const t = useT();
  const formats = useFormats();
  const day = (text: string | null) => (text === null ? '–' : formats.day(text));
  const { cancellation } = invoice;
  return (
    <Card title={t('invoice.state')}>
      <Facts
        items={[
          [t('invoice.issued'), day(invoice.issued_on)],
          [t('invoice.due'), day(invoice.due_on)],
          [t('invoice.paid'), day(invoice.paid_on)],
          ...(invoice.payment_problem === null
            ? []
            : [
                [
                  t('invoice.problem'),
                  <span key="problem" className="text-bad">
                    {invoice.payment_problem}
                  </span>,
                ] as const,
              ]),
          ...(cancellation === null
            ? []
            : ([
                [t('invoice.storno'), `${cancellation.number} · ${day(cancellation.issued_on)}`],
                [t('reason'), cancellation.reason],
              ] as const)),
          ...(invoice.replaces === null
            ? []
            : [
                [
                  t('invoice.replaces'),
                  <Link
                    key="replaces"
                    href={`/invoices/${invoice.replaces}`}
                    className="rounded text-accent hover:underline"
                  >
                    {t('invoice')}
                  </Link>,
                ] as const,
              ]),
        ]}
      />
    </Card>
  );
}

function Files({ of: { id, number, cancellation } }: { readonly of: InvoiceDetails }) {
  const t = useT();
  if (number === null) return null;
  const file = (path: string, label: string, of = id) => (
    <li key={label}>
      <a
        href={`/api/invoices/${encodeURIComponent(of)}/${path}`}
        download
        className="flex min-h-10 items-center gap-3 rounded-lg px-2 hover:bg-sunken"
      >
        <Icon name="download" className="size-4.5 text-accent" />
        {label}
      </a>
    </li>
  );
  return (
    <Card title={t('invoice.files')}>
      <ul className="-mx-2">
        {file('pdf', t('file.pdf'))}
        {file('xml?format=xrechnung-cii', t('file.cii'))}
        {file('xml?format=xrechnung-ubl', t('file.ubl'))}
        {file('statement.pdf', t('file.statement'))}
        {file('statement.csv', t('file.csv'))}
        {cancellation !== null &&
          file('pdf', t('file.storno', { number: cancellation.number }), cancellation.id)}
      </ul>
    </Card>
  );
}

function Proof({ id }: { readonly id: string }) {
  const t = useT();
  const [asked, setAsked] = useState(false);
  const proof = useRead('GET /api/invoices/:id/proof', { params: { id }, enabled: asked });
  return (
    <Card title={t('proof')}>
      <p className="mb-3 text-soft">{t('proof.lead')}</p>
      {!asked ? (
        <Button icon="audit" onClick={() => setAsked(true)}>
          {t('proof.do')}
        </Button>
      ) : (
        <Shown of={proof} rows={2}>
          {(data) => {
            const isEqual = data['equal'] === true;
            const events = data['spend_events'];
            return (
              <div className="flex flex-col gap-2">
                <span>
                  <Badge tone={isEqual ? 'good' : 'bad'}>
                    {isEqual ? t('proof.equal') : t('proof.differs')}
                  </Badge>
                </span>
                {typeof events === 'number' && (
                  <p className="num text-sm text-soft">{t('proof.events', { count: events })}</p>
                )}
              </div>
            );
          }}
        </Shown>
      )}
    </Card>
  );
}

function Actions({ of: invoice }: { readonly of: InvoiceDetails }) {
  const t = useT();
  const formats = useFormats();
  const [open, setOpen] = useState<'paid' | 'cancel' | null>(null);
  const sent = useWrite('POST /api/invoices/:id/sent');
  const isOpen = ['finalized', 'sent', 'overdue'].includes(invoice.status);
  const params = { id: invoice.id };
  return (
    <>
      {invoice.status === 'finalized' && (
        <Button busy={sent.isPending} onClick={() => sent.mutate({ params, body: {} })}>
          {t('invoice.mark.sent')}
        </Button>
      )}
      {isOpen && (
        <Button kind="primary" onClick={() => setOpen('paid')}>
          {t('invoice.mark.paid')}
        </Button>
      )}
      {(isOpen || invoice.status === 'paid') && (
        <Button kind="danger" onClick={() => setOpen('cancel')}>
          {t('invoice.cancel')}
        </Button>
      )}
      {open === 'paid' && <Paid of={invoice} today={formats.today()} onClose={() => setOpen(null)} />}
      {open === 'cancel' && <Cancel of={invoice} onClose={() => setOpen(null)} />}
    </>
  );
}

function Paid({
  of: invoice,
  today,
  onClose,
}: {
  readonly of: InvoiceDetails;
  readonly today: string;
  readonly onClose: () => void;
}) {
  const t = useT();
  const [day, setDay] = useState(today);
  const paid = useWrite('POST /api/invoices/:id/paid', onClose);
  const problems = useProblems(paid.error);
  return (
    <Dialog title={t('invoice.mark.paid')} onClose={onClose}>
      {paid.error !== null && <Problem error={paid.error} />}
      <form
        className="flex flex-col gap-4"
        onSubmit={(event: FormEvent) => {
          event.preventDefault();
          paid.mutate({ params: { id: invoice.id }, body: { paid_on: day } });
        }}
      >
        <TextField
          label={t('invoice.paid')}
          type="date"
          required
          value={day}
          onText={setDay}
          problem={problems['paid_on']}
        />
        <CancelOrSend onClose={onClose} busy={paid.isPending}>
          {t('save')}
        </CancelOrSend>
      </form>
    </Dialog>
  );
}

function Cancel({ of: invoice, onClose }: { readonly of: InvoiceDetails; readonly onClose: () => void }) {
  const t = useT();
  const [reason, setReason] = useState('');
  const [replace, setReplace] = useState(false);
  const cancel = useWrite('POST /api/invoices/:id/cancel', onClose);
  const problems = useProblems(cancel.error);
  return (
    <Dialog title={t('invoice.cancel.title', { number: invoice.number ?? '' })} onClose={onClose}>
      {cancel.error !== null && <Problem error={cancel.error} />}
      <p>{t('invoice.cancel.effect')}</p>
      <form
        className="flex flex-col gap-4"
        onSubmit={(event: FormEvent) => {
          event.preventDefault();
          cancel.mutate({ params: { id: invoice.id }, body: { reason, replace } });
        }}
      >
        <TextField
          label={t('reason')}
          required
          autoFocus
          value={reason}
          onText={setReason}
          problem={problems['reason']}
        />
        <CheckField label={t('invoice.cancel.replace')} checked={replace} onCheck={setReplace} />
        <CancelOrSend onClose={onClose} kind="danger" busy={cancel.isPending}>
          {t('invoice.cancel')}
        </CancelOrSend>
      </form>
    </Dialog>
  );
}
