import { useState } from 'react';
import { Link } from 'wouter';
import type { OutboxTask } from '../api/shapes-desk.ts';
import { useRead, useWrite } from '../api/hooks.ts';
import { useRights, useT } from '../context.tsx';
import { useNames } from '../names.ts';
import { Badge, Button, Card, Time, type Tone } from '../parts/basics.tsx';
import { SelectField } from '../parts/form.tsx';
import { Empty, Problem, Shown } from '../parts/states.tsx';
import { type Column, CursorPager, Table, useCursors } from '../parts/table.tsx';
import { isWord } from '../words/words.ts';

/** What becomes of a task is not in the log. */
const LIVE_MS = 10_000;
const STATUSES = ['waiting', 'stopped', 'done', 'skipped'] as const;
const TONES: Readonly<Record<string, Tone>> = { waiting: 'accent', stopped: 'bad', done: 'good' };

/** What is to be done outside: invoices to collect, mails to send, and what keeps them from it. */
export function OutboxCard() {
  const t = useT();
  const [status, setStatus] = useState('');
  const cursors = useCursors();
  const outbox = useRead('GET /api/outbox', {
    query: { status, cursor: cursors.cursor, limit: 20 },
    everyMs: LIVE_MS,
    keep: true,
  });
  const choose = (value: string) => {
    cursors.backTo(0);
    setStatus(value);
  };
  return (
    <Card title={t('outbox')} flush>
      <Shown of={outbox}>
        {({ data, facts, next_cursor: next }) => (
          <>
            <div className="flex flex-wrap items-end gap-4 px-5 pb-3">
              <SelectField
                label={t('status')}
                value={status}
                onText={choose}
                choices={[['', t('all')], ...STATUSES.map((one) => [one, t(`task.${one}`)] as const)]}
              />
              <p className="pb-2 text-soft">{t('outbox.facts', { ...facts })}</p>
            </div>
            {data.length === 0 ? <Empty icon="check" title={t('outbox.none')} /> : <Tasks of={data} />}
            <CursorPager of={cursors} next={next} />
          </>
        )}
      </Shown>
    </Card>
  );
}

/** The tasks of one invoice; nothing when there are none. */
export function InvoiceTasks({ id }: { readonly id: string }) {
  const t = useT();
  const outbox = useRead('GET /api/outbox', { query: { invoice_id: id } });
  if (outbox.data?.data.length === 0) return null;
  return (
    <Card title={t('outbox')} flush>
      <Shown of={outbox} rows={2}>
        {({ data }) => <Tasks of={data} narrow />}
      </Shown>
    </Card>
  );
}

function Tasks({
  of: tasks,
  narrow = false,
}: {
  readonly of: readonly OutboxTask[];
  /** There is little room; the invoice and its tenant are known. */
  readonly narrow?: boolean;
}) {
  const t = useT();
  const names = useNames();
  const { admin } = useRights();
  const retry = useWrite('POST /api/outbox/retry');
  const kindOf = (kind: string) => (isWord(`task.${kind}`) ? t(`task.${kind}` as 'task.collect') : kind);
  const timing: readonly Column<OutboxTask>[] = [
    { title: t('task.due'), from: 'md', cell: ({ due_at: at }) => <Time at={at} /> },
    { title: t('task.attempts'), right: true, from: 'lg', cell: ({ attempts }) => attempts },
  ];
  return (
    <>
      {retry.error !== null && <Problem error={retry.error} />}
      <Table
        caption={t('outbox')}
        rows={tasks}
        keyOf={({ id }) => id}
        columns={[
          {
            title: t('task'),
            wide: true,
            cell: ({ kind, tenant_id: tenant, invoice_id: invoice, note }) => (
              <>
                {invoice === '' ? (
                  <span className="font-medium">{kindOf(kind)}</span>
                ) : (
                  <Link href={`/invoices/${invoice}`} className="rounded font-medium hover:underline">
                    {kindOf(kind)}
                  </Link>
                )}
                {!narrow && <span className="block text-sm text-soft">{names.tenant(tenant)}</span>}
                {note !== null && <span className="block text-sm break-words text-soft">{note}</span>}
              </>
            ),
          },
          ...(narrow ? [] : timing),
          {
            title: t('status'),
            cell: ({ status }) => (
              <Badge tone={TONES[status] ?? 'calm'}>
                {isWord(`task.${status}`) ? t(`task.${status}` as 'task.done') : status}
              </Badge>
            ),
          },
          ...(admin
            ? [
                {
                  title: t('actions'),
                  right: true,
                  cell: ({ id, status, kind }: OutboxTask) =>
                    status !== 'done' && (
                      <Button
                        kind="quiet"
                        aria-label={t('task.retry.of', { kind: kindOf(kind) })}
                        busy={retry.isPending}
                        onClick={() => retry.mutate({ body: { task_id: id } })}
                      >
                        {t('retry')}
                      </Button>
                    ),
                },
              ]
            : []),
        ]}
      />
    </>
  );
}
