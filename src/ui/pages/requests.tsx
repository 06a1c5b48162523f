import { useState } from 'react';
import { Link } from 'wouter';
import type { LoggedRequest } from '../api/shapes-money.ts';
import { useRead } from '../api/hooks.ts';
import { useFormats, useRights, useT } from '../context.tsx';
import { useNames } from '../names.ts';
import { Badge, Button, Card, Facts, Page, Time } from '../parts/basics.tsx';
import { Dialog } from '../parts/dialog.tsx';
import { CheckField, SelectField, TextField } from '../parts/form.tsx';
import { Empty, Shown } from '../parts/states.tsx';
import { type Column, CursorPager, Table, useCursors } from '../parts/table.tsx';
import { useFilters } from '../search.ts';

const PAGE_SIZE = 50;

/** Requests one by one: what each took and cost, never what was asked and answered. */
export default function Requests() {
  const t = useT();
  const { agency } = useRights();
  const names = useNames();
  const [get, set] = useFilters();
  const [live, setLive] = useState(false);
  const [opened, setOpened] = useState<LoggedRequest | null>(null);
  const cursors = useCursors();
  const requests = useRead('GET /api/requests', {
    query: {
      from: get('from'),
      to: get('to'),
      tenant_id: get('tenant'),
      project_id: get('project'),
      key_id: get('key'),
      model: get('model'),
      outcome: get('outcome'),
      limit: PAGE_SIZE,
      cursor: cursors.cursor,
    },
    keep: true,
    ...(live && cursors.passed === 0 ? { live: { topics: ['usage'] } as const } : {}),
  });
  const filter = (name: string) => (value: string) => {
    cursors.backTo(0);
    set({ [name]: value });
  };
  return (
    <Page title={t('requests')} lead={t('requests.lead')}>
      <Card flush>
        <search className="grid grid-cols-2 items-end gap-3 px-5 pt-4 pb-3 lg:grid-cols-6">
          <TextField label={t('from')} type="date" value={get('from')} onText={filter('from')} />
          <TextField label={t('to')} type="date" value={get('to')} onText={filter('to')} />
          {agency && (
            <SelectField
              label={t('tenant')}
              value={get('tenant')}
              onText={filter('tenant')}
              choices={[['', t('all')], ...names.tenants.map(({ id }) => [id, names.tenant(id)] as const)]}
            />
          )}
          <SelectField
            label={t('outcome')}
            value={get('outcome')}
            onText={filter('outcome')}
            choices={[
              ['', t('all')],
              ['ok', t('outcome.ok')],
              ['failed', t('outcome.failed')],
            ]}
          />
          <TextField label={t('key')} value={get('key')} onText={filter('key')} placeholder="key_…" />
          <CheckField label={t('live')} checked={live} onCheck={setLive} />
        </search>
        <Shown of={requests} rows={8}>
          {({ data, next_cursor: next }) =>
            data.length === 0 ? (
              <Empty icon="requests" title={t('requests.none')}>
                {t('usage.none.hint')}
              </Empty>
            ) : (
              <>
                <RequestTable rows={data} onOpen={setOpened} />
                <CursorPager of={cursors} next={next} />
              </>
            )
          }
        </Shown>
      </Card>
      {opened !== null && <Details of={opened} onClose={() => setOpened(null)} />}
    </Page>
  );
}

function RequestTable({
  rows,
  onOpen,
}: {
  readonly rows: readonly LoggedRequest[];
  readonly onOpen: (request: LoggedRequest) => void;
}) {
  const t = useT();
  const formats = useFormats();
  const names = useNames();
  const columns: readonly Column<LoggedRequest>[] = [
    {
      title: t('time'),
      cell: (request) => (
        <button type="button" onClick={() => onOpen(request)} className="rounded font-medium hover:underline">
          <Time at={request.at} />
          <span className="block text-left text-sm font-normal text-soft sm:hidden">{request.model}</span>
        </button>
      ),
    },
    {
      title: t('project'),
      wide: true,
      from: 'md',
      cell: (request) => (
        <>
          {names.project(request.project_id)}
          <span className="block text-sm text-soft">{names.tenant(request.tenant_id)}</span>
        </>
      ),
    },
    {
      title: t('model'),
      from: 'sm',
      cell: ({ model }) => <span className="[overflow-wrap:anywhere]">{model}</span>,
    },
    {
      title: t('tokens'),
      right: true,
      from: 'lg',
      cell: (request) => `${formats.number(request.input_tokens)} → ${formats.number(request.output_tokens)}`,
    },
    { title: t('duration'), right: true, from: 'sm', cell: ({ duration_ms: ms }) => formats.duration(ms) },
    { title: t('measure.price'), right: true, cell: ({ price }) => formats.money(price) },
    { title: t('outcome'), cell: (request) => <Outcome of={request} /> },
  ];
  return <Table caption={t('requests')} columns={columns} rows={rows} keyOf={({ position }) => position} />;
}

function Outcome({ of: { status, outcome } }: { readonly of: LoggedRequest }) {
  const tone = status >= 400 ? 'bad' : outcome === 'completed' ? 'good' : 'warn';
  return <Badge tone={tone}>{status}</Badge>;
}

function Details({ of: request, onClose }: { readonly of: LoggedRequest; readonly onClose: () => void }) {
  const t = useT();
  const formats = useFormats();
  const names = useNames();
  const [copied, setCopied] = useState(false);
  return (
    <Dialog title={t('request')} onClose={onClose}>
      <Facts
        items={[
          [t('time'), <Time key="at" at={request.at} />],
          [t('outcome'), `${request.status} · ${request.outcome}`],
          [t('request.route'), request.route],
          [t('model'), request.model],
          ...(request.deployment === null ? [] : [[t('deployment'), request.deployment] as const]),
          [t('tenant'), names.tenant(request.tenant_id)],
          [t('project'), names.project(request.project_id)],
          [
            t('key'),
            <Link
              key="key"
              href={`/keys/${request.key_id}`}
              className="rounded text-accent break-all hover:underline"
            >
              {request.key_id}
            </Link>,
          ],
          [
            t('tokens.in'),
            `${formats.number(request.input_tokens)} (${t('tokens.cached', { count: formats.number(request.cached_input_tokens) })})`,
          ],
          [t('tokens.out'), formats.number(request.output_tokens)],
          [t('usage.source'), request.usage_source],
          [t('duration'), formats.duration(request.duration_ms)],
          [t('first.byte'), request.first_byte_ms === null ? '–' : formats.duration(request.first_byte_ms)],
          [t('stream'), request.stream ? t('yes') : t('no')],
          ...(request.cost === null ? [] : [[t('cost'), formats.money(request.cost)] as const]),
          [t('measure.price'), formats.money(request.price)],
          [t('end_user'), request.end_user ?? '–'],
          [t('tags'), request.tags.join(', ') || '–'],
          [
            t('request.id'),
            <code key="id" className="font-mono text-sm break-all">
              {request.request_id}
            </code>,
          ],
        ]}
      />
      <div>
        <Button
          icon={copied ? 'check' : 'copy'}
          onClick={() => {
            void navigator.clipboard.writeText(request.request_id).then(() => setCopied(true));
          }}
        >
          {t('request.copy')}
        </Button>
      </div>
    </Dialog>
  );
}
