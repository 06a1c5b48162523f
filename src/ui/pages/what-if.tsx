import { type FormEvent, useState } from 'react';
import type { InvoicePreview } from '../api/shapes-desk.ts';
import { useWrite } from '../api/hooks.ts';
import { useFormats, useT } from '../context.tsx';
import { monthsUpTo } from '../format.ts';
import { useNames } from '../names.ts';
import { Button, Facts } from '../parts/basics.tsx';
import { Dialog, DialogButtons } from '../parts/dialog.tsx';
import { SelectField } from '../parts/form.tsx';
import { Problem } from '../parts/states.tsx';
import { Table } from '../parts/table.tsx';
import { isWord } from '../words/words.ts';

/** What a tenant's month would have cost under this plan. */
export function WhatIf({ plan, onClose }: { readonly plan: string; readonly onClose: () => void }) {
  const t = useT();
  const formats = useFormats();
  const names = useNames();
  const months = monthsUpTo(formats.today());
  const tenants = names.tenants.filter(({ own }) => !own);
  const [chosen, setChosen] = useState('');
  const [period, setPeriod] = useState(months[0]!);
  const preview = useWrite('POST /api/invoices/preview');
  const tenant = chosen || (tenants[0]?.id ?? '');
  const submit = (event: FormEvent) => {
    event.preventDefault();
    preview.mutate({ body: { tenant_id: tenant, period, plan } });
  };
  return (
    <Dialog title={t('whatif.title', { plan })} onClose={onClose} wide>
      <p className="text-soft">{t('whatif.lead')}</p>
      {preview.error !== null && <Problem error={preview.error} />}
      <form onSubmit={submit} className="flex flex-col gap-4">
        <div className="grid gap-4 sm:grid-cols-2">
          <SelectField
            label={t('tenant')}
            value={tenant}
            autoFocus
            onText={setChosen}
            choices={tenants.map(({ id }) => [id, names.tenant(id)] as const)}
          />
          <SelectField
            label={t('period')}
            value={period}
            onText={setPeriod}
            choices={months.map((month) => [month, formats.month(month)] as const)}
          />
        </div>
        <div aria-live="polite">{preview.data !== undefined && <Result of={preview.data} />}</div>
        <DialogButtons>
          <Button onClick={onClose}>{t('close')}</Button>
          <Button kind="primary" type="submit" busy={preview.isPending} disabled={tenant === ''}>
            {t('whatif.do')}
          </Button>
        </DialogButtons>
      </form>
    </Dialog>
  );
}

function Result({ of: preview }: { readonly of: InvoicePreview }) {
  const t = useT();
  const formats = useFormats();
  const names = useNames();
  const money = (amount: string) => formats.money({ amount, currency: preview.currency });
  const text = (prefix: string, name: string | null) => {
    const word = `${prefix}.${name ?? ''}`;
    return isWord(word) ? t(word) : (name ?? '');
  };
  return (
    <div className="flex flex-col gap-3">
      <Table
        caption={t('invoice.lines')}
        rows={preview.lines.map((line, index) => ({ ...line, index }))}
        keyOf={({ index }) => String(index)}
        columns={[
          {
            title: t('invoice.position'),
            wide: true,
            cell: ({ kind, model, unit, project_id: project }) => (
              <>
                {model === null ? text('line', kind) : `${model} · ${text('unit', unit)}`}
                {project !== null && (
                  <span className="block text-sm text-soft">{names.project(project)}</span>
                )}
              </>
            ),
          },
          {
            title: t('invoice.quantity'),
            right: true,
            from: 'sm',
            cell: ({ quantity }) => formats.number(Number(quantity)),
          },
          { title: t('invoice.amount'), right: true, cell: ({ net }) => money(net) },
        ]}
      />
      <Facts
        items={[
          [t('invoice.net'), <strong key="net">{money(preview.net)}</strong>],
          [t('whatif.recorded'), money(preview.recorded)],
          ...(preview.unpriced.length === 0
            ? []
            : [[t('whatif.unpriced'), preview.unpriced.join(', ')] as const]),
        ]}
      />
    </div>
  );
}
