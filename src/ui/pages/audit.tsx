import type { Verification, VerificationCheck } from '../api/shapes-people.ts';
import { useRead, useWrite } from '../api/hooks.ts';
import { useFormats, useT } from '../context.tsx';
import { Badge, Button, Card, Facts, Page, Time } from '../parts/basics.tsx';
import { Icon } from '../parts/icons.tsx';
import { Empty, Problem, Shown } from '../parts/states.tsx';
import { Table } from '../parts/table.tsx';
import { useWorded } from '../problems.ts';
import { isWord } from '../words/words.ts';
import { Bundles, Consultations } from './audit-records.tsx';

/** Is the log what was sealed? Ask here, while everything goes on. */
export default function Audit() {
  const t = useT();
  return (
    <Page title={t('audit')} lead={t('audit.lead')}>
      <div className="grid items-start gap-5 xl:grid-cols-[3fr_2fr]">
        <div className="flex min-w-0 flex-col gap-5">
          <Verify />
          <Consultations />
        </div>
        <div className="flex min-w-0 flex-col gap-5">
          <Bundles />
          <SigningKey />
          <Seals />
        </div>
      </div>
    </Page>
  );
}

function Verify() {
  const t = useT();
  const start = useWrite('POST /api/audit/verification');
  const state = useRead('GET /api/audit/verification', { live: { topics: ['audit'], gapMs: 300 } });
  const isRunning = state.data?.status === 'running';
  return (
    <Card
      title={t('verify')}
      action={
        <Button
          kind="primary"
          icon="audit"
          busy={isRunning || start.isPending}
          onClick={() => start.mutate({ body: {} })}
        >
          {t('verify.do')}
        </Button>
      }
    >
      {start.error !== null && <Problem error={start.error} />}
      <Shown of={state}>{(data) => <Verdict of={data} />}</Shown>
    </Card>
  );
}

function Verdict({ of: state }: { readonly of: Verification }) {
  const t = useT();
  const formats = useFormats();
  if (state.status === 'none')
    return (
      <Empty icon="audit" title={t('verify.none')}>
        {t('verify.none.hint')}
      </Empty>
    );
  if (state.status === 'running')
    return (
      <div role="status" className="flex flex-col gap-2 py-4">
        <p>{t('verify.part', { part: state.part ?? '' })}</p>
        <progress
          className="h-2 w-full accent-[var(--accent)]"
          aria-label={t('verify')}
          {...(state.total > 0 ? { value: state.done, max: state.total } : {})}
        />
        <p className="num text-sm text-soft">
          {formats.number(state.done)} / {formats.number(state.total)}
        </p>
      </div>
    );
  if (state.status === 'failed')
    return (
      <p role="alert" className="py-4 text-bad">
        {t('verify.failed')}
      </p>
    );
  return (
    <div className="flex flex-col gap-5">
      <div
        role="status"
        className={`flex items-center gap-4 rounded-xl px-5 py-4 ${state.ok === true ? 'bg-good-tint text-good' : 'bg-bad-tint text-bad'}`}
      >
        <Icon name={state.ok === true ? 'check' : 'alert'} className="size-8" />
        <div>
          <p className="text-lg font-semibold">{state.ok === true ? t('verify.ok') : t('verify.bad')}</p>
          <p className="num">
            {t('verify.sum', {
              events: formats.number(state.events ?? 0),
              streams: formats.number(state.streams ?? 0),
              duration: formats.duration(state.duration_ms ?? 0),
            })}
          </p>
        </div>
      </div>
      <Facts
        items={[
          [t('verify.at'), <Time key="at" at={state.started_at} />],
          [t('verify.head'), `#${state.head ?? '–'}`],
          [t('verify.sealed'), state.sealed_to === null ? '–' : `#${state.sealed_to}`],
          [
            t('verify.note'),
            <code key="hash" className="font-mono text-sm break-all">
              {state.newest_seal ?? '–'}
            </code>,
          ],
        ]}
      />
      <Checks of={state.checks} />
    </div>
  );
}

/** Read models are many and alike: they stand behind one line unless one of them is wrong. */
const READ_MODEL = /^read model /;

function Checks({ of: checks }: { readonly of: readonly VerificationCheck[] }) {
  const t = useT();
  const apart = checks.filter(({ name, ok }) => !ok || !READ_MODEL.test(name));
  const alike = checks.filter(({ name, ok }) => ok && READ_MODEL.test(name));
  return (
    <div>
      <ul className="divide-y divide-line">
        {apart.map((check) => (
          <Check key={check.name} of={check} />
        ))}
      </ul>
      {alike.length > 0 && (
        <details className="border-t border-line">
          <summary className="flex items-center justify-between gap-4 rounded py-2.5 font-medium">
            {t('verify.models', { count: alike.length })}
            <Badge tone="good">{t('state.good')}</Badge>
          </summary>
          <ul className="divide-y divide-line pl-4">
            {alike.map((check) => (
              <Check key={check.name} of={check} />
            ))}
          </ul>
        </details>
      )}
    </div>
  );
}

function Check({ of: { name, ok, detail, at } }: { readonly of: VerificationCheck }) {
  const t = useT();
  const worded = useWorded();
  const word = `check.${name}`;
  return (
    <li className="flex items-start justify-between gap-4 py-2.5">
      <div className="min-w-0">
        <span className="font-medium">{isWord(word) ? t(word) : name.replace(READ_MODEL, '')}</span>
        <span className="block text-sm break-words text-soft">{worded(detail)}</span>
        {at.map(({ position, problem }) => (
          <span key={`${position} ${problem}`} className="block text-sm break-words text-bad">
            {position === null ? '' : `#${position}: `}
            {worded(problem)}
          </span>
        ))}
      </div>
      <Badge tone={ok ? 'good' : 'bad'}>{ok ? t('state.good') : t('state.bad')}</Badge>
    </li>
  );
}

function SigningKey() {
  const t = useT();
  const key = useRead('GET /api/audit/public-key');
  return (
    <Card title={t('signing')}>
      <Shown of={key} rows={2}>
        {(data) => (
          <Facts
            items={[
              [
                t('signing.id'),
                <code key="id" className="font-mono text-sm break-all">
                  {data.key_id}
                </code>,
              ],
              [t('signing.kind'), data.algorithm],
              [t('signing.from'), <Time key="from" at={data.valid_from} />],
            ]}
          />
        )}
      </Shown>
    </Card>
  );
}

function Seals() {
  const t = useT();
  const seals = useRead('GET /api/audit/seals', { live: { topics: ['audit'] } });
  return (
    <Card title={t('seals')} flush>
      <Shown of={seals}>
        {({ data }) =>
          data.length === 0 ? (
            <Empty icon="clock" title={t('seals.none')}>
              {t('seals.none.hint')}
            </Empty>
          ) : (
            <Table
              caption={t('seals')}
              rows={data}
              keyOf={({ hash }) => hash}
              columns={[
                { title: t('time'), wide: true, cell: ({ recorded_at: at }) => <Time at={at} /> },
                { title: t('seals.covers'), right: true, cell: ({ covers_to: to }) => `#${to}` },
                {
                  title: t('seals.hash'),
                  cell: ({ hash }) => (
                    <code className="font-mono text-sm" title={hash}>
                      {hash.slice(0, 10)}…
                    </code>
                  ),
                },
              ]}
            />
          )
        }
      </Shown>
    </Card>
  );
}
