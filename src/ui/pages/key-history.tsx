import { useEffect, useMemo, useState } from 'react';
import type { HistoryStep, KeyHistory as History } from '../api/shapes-keys.ts';
import { useRead } from '../api/hooks.ts';
import { useFormats, useT } from '../context.tsx';
import { instantFrom, localInput } from '../format.ts';
import { useNames } from '../names.ts';
import { Badge, Button, Card, Facts, Time, DownloadLink } from '../parts/basics.tsx';
import { TextField } from '../parts/form.tsx';
import { Icon } from '../parts/icons.tsx';
import { Shown } from '../parts/states.tsx';
import { useFilters } from '../search.ts';
import { isWord } from '../words/words.ts';
import { windowName } from './limit-table.tsx';
import { bundlePath } from './audit-records.tsx';

/**
 * The history of a key, replayed from the log: a slider over all of its time, what the key was at that
 * instant, and every change with who made it and what differed.
 */
const SETTLE_MS = 200;
/** Steps of the slider; the rest of a millisecond in years matters to nobody. */
const NOTCHES = 2_000;

export function KeyHistory({ id }: { readonly id: string }) {
  const all = useRead('GET /api/audit/keys/:id', { params: { id } });
  return <Shown of={all}>{(history) => <Travel id={id} history={history} />}</Shown>;
}

function Travel({ id, history }: { readonly id: string; readonly history: History }) {
  const t = useT();
  const [get, set] = useFilters();
  const { steps } = history;
  const begins = Date.parse(steps[0]?.recorded_at ?? history.at);
  const [ends] = useState(() => Date.now());
  const wanted = Date.parse(get('at'));
  const [at, setAt] = useState(Number.isNaN(wanted) ? ends : wanted);
  const iso = new Date(at).toISOString();
  // The slider moves freely; the address and the server follow when it rests.
  const rests = at >= ends ? '' : iso;
  const rested = get('at');
  useEffect(() => {
    if (rests === rested) return undefined;
    const timer = setTimeout(() => set({ at: rests }, { replace: true }), SETTLE_MS);
    return () => clearTimeout(timer);
  }, [rests, rested, set]);

  const then = useRead('GET /api/audit/keys/:id', {
    params: { id },
    query: { at: rested },
    keep: true,
  });
  const last = steps.findLastIndex(({ recorded_at }) => Date.parse(recorded_at) <= at);
  const step = steps[last];
  return (
    <div className="grid items-start gap-5 xl:grid-cols-[3fr_2fr]">
      <div className="flex min-w-0 flex-col gap-5">
        <Card title={t('history.when')}>
          <Slider begins={begins} ends={ends} at={at} steps={steps} onMove={setAt} />
        </Card>
        <Card
          title={t('history.changes')}
          action={<DownloadLink to={bundlePath('key', id)}>{t('bundle.key')}</DownloadLink>}
          flush
        >
          <ol className="divide-y divide-line">
            {steps.toReversed().map((one) => (
              <Change
                key={one.position}
                of={one}
                isLast={one === step}
                isLater={Date.parse(one.recorded_at) > at}
                onGo={() => setAt(Date.parse(one.recorded_at))}
              />
            ))}
          </ol>
        </Card>
      </div>
      <Card title={t('history.state')} action={<Time at={iso} />} className="xl:sticky xl:top-6">
        {step === undefined ? (
          <p className="text-soft">{t('history.before')}</p>
        ) : (
          <State step={step} then={then.data} />
        )}
      </Card>
    </div>
  );
}

function Slider({
  begins,
  ends,
  at,
  steps,
  onMove,
}: {
  readonly begins: number;
  readonly ends: number;
  readonly at: number;
  readonly steps: readonly HistoryStep[];
  readonly onMove: (at: number) => void;
}) {
  const t = useT();
  const formats = useFormats();
  const span = Math.max(1, ends - begins);
  const notch = Math.round(((at - begins) / span) * NOTCHES);
  const times = useMemo(() => steps.map(({ recorded_at }) => Date.parse(recorded_at)), [steps]);
  const earlier = times.findLast((time) => time < at);
  const later = times.find((time) => time > at);
  return (
    <div className="flex flex-col gap-3">
      <div className="relative pt-1">
        <svg
          viewBox="0 0 1000 14"
          preserveAspectRatio="none"
          className="h-3.5 w-full overflow-visible"
          aria-hidden="true"
        >
          {times.map((time, index) => (
            <line
              key={index}
              x1={10 + ((time - begins) / span) * 980}
              x2={10 + ((time - begins) / span) * 980}
              y1="1"
              y2="13"
              vectorEffect="non-scaling-stroke"
              className={time <= at ? 'stroke-accent' : 'stroke-strong'}
              strokeWidth="2"
            />
          ))}
        </svg>
        <input
          type="range"
          className="slider"
          min={0}
          max={NOTCHES}
          value={Math.min(NOTCHES, Math.max(0, notch))}
          aria-label={t('history.slider')}
          aria-valuetext={formats.dateTime(new Date(at).toISOString())}
          onChange={(event) => onMove(begins + (Number(event.target.value) / NOTCHES) * span)}
        />
        <div className="num flex justify-between text-sm text-soft">
          <Time at={new Date(begins).toISOString()} />
          <span>{t('history.now')}</span>
        </div>
      </div>
      <div className="flex flex-wrap items-end gap-2">
        <Button icon="left" disabled={earlier === undefined} onClick={() => onMove(earlier ?? at)}>
          {t('history.earlier')}
        </Button>
        <Button disabled={later === undefined} onClick={() => onMove(later ?? at)}>
          {t('history.later')}
        </Button>
        <Button kind="quiet" disabled={at >= ends} onClick={() => onMove(ends)}>
          {t('history.now')}
        </Button>
        <div className="w-56 sm:ml-auto">
          <TextField
            label={t('history.instant')}
            type="datetime-local"
            step={1}
            value={localInput(new Date(at).toISOString(), formats.zone)}
            onText={(text) => {
              const instant = instantFrom(text, formats.zone);
              if (instant !== null) onMove(Math.min(ends, Date.parse(instant)));
            }}
          />
        </div>
      </div>
    </div>
  );
}

function Change({
  of: step,
  isLast,
  isLater,
  onGo,
}: {
  readonly of: HistoryStep;
  readonly isLast: boolean;
  readonly isLater: boolean;
  readonly onGo: () => void;
}) {
  const t = useT();
  const shown = useValues();
  const word = `event.${step.type}`;
  return (
    <li className={`px-5 py-3.5 ${isLast ? 'bg-tint' : ''} ${isLater ? 'opacity-70' : ''}`}>
      <div className="flex flex-wrap items-baseline gap-x-3">
        <button
          type="button"
          onClick={onGo}
          className="rounded font-medium hover:underline"
          aria-current={isLast}
        >
          {isWord(word) ? t(word) : step.type}
        </button>
        <span className="text-sm text-soft">
          <Time at={step.recorded_at} /> · <Who of={step} />
        </span>
        <span className="num ml-auto text-sm text-soft">#{step.position}</span>
      </div>
      {step.type !== 'key.generated' && (
        <ul className="mt-1 text-sm">
          {step.changes.map(({ field, before, after }) => (
            <li key={field} className="flex flex-wrap gap-x-2">
              <span className="text-soft">{fieldName(field, t)}</span>
              <s className="break-all text-soft">{shown(field, before)}</s>
              <Icon name="right" className="mt-1 size-3.5 text-soft" />
              <span className="break-all">{shown(field, after)}</span>
            </li>
          ))}
        </ul>
      )}
    </li>
  );
}

function Who({ of: { actor } }: { readonly of: HistoryStep }) {
  const t = useT();
  const kind = `actor.${actor.kind}`;
  const name = actor.kind === 'master' ? '' : ` ${actor.id}`;
  const onBehalf = actor.on_behalf_of === null ? '' : ` (${actor.on_behalf_of})`;
  return <>{`${isWord(kind) ? t(kind) : actor.kind}${name}${onBehalf}`}</>;
}

const SHOWN = [
  'alias',
  'environment',
  'budget',
  'budget_window',
  'requests_per_minute',
  'tokens_per_minute',
  'parallel_requests',
  'models',
  'expires_at',
  'user_id',
  'rotations',
  'fingerprint',
  'grace_ends_at',
] as const;

function State({ step, then }: { readonly step: HistoryStep; readonly then: History | undefined }) {
  const t = useT();
  const formats = useFormats();
  const names = useNames();
  const { state } = step;
  const changed = new Set(step.type === 'key.generated' ? [] : step.changes.map(({ field }) => field));
  const refusal = then?.acceptance['refusal'];
  const project = typeof state['project_id'] === 'string' ? state['project_id'] : null;
  const shown = useValues();
  const value = (field: string) => shown(field, state[field]);
  return (
    <div className="flex flex-col gap-4">
      <p className="flex flex-wrap gap-2">
        {refusal == null ? (
          <Badge tone="good">{t('history.accepted')}</Badge>
        ) : (
          <Badge tone="bad">{t('history.refused', { reason: valueText(refusal) })}</Badge>
        )}
        {then?.acceptance['old_secret'] === true && <Badge tone="warn">{t('history.grace')}</Badge>}
      </p>
      <Facts
        items={[
          [t('status'), value('status')],
          [t('project'), names.project(project)],
          ...SHOWN.map(
            (field) =>
              [
                fieldName(field, t),
                changed.has(field) ? (
                  <mark key={field} className="rounded bg-warn-tint px-1 text-warn">
                    {value(field)}
                  </mark>
                ) : (
                  value(field)
                ),
              ] as const,
          ),
        ]}
      />
      {then !== undefined && then.budgets.length > 0 && (
        <div>
          <h3 className="mb-1 text-sm font-semibold">{t('history.budgets')}</h3>
          <Facts
            items={then.budgets.map(({ level, budget, spent, currency }) => {
              const word = `level.${level}`;
              return [
                isWord(word) ? t(word) : level,
                `${formats.money({ amount: spent, currency })} / ${formats.money({ amount: budget, currency })}`,
              ] as const;
            })}
          />
        </div>
      )}
    </div>
  );
}

/** Amounts, counts, windows and instants as people write them. */
function useValues(): (field: string, value: unknown) => string {
  const t = useT();
  const formats = useFormats();
  return (field, value) => {
    if (typeof value === 'number') return formats.number(value);
    if (typeof value !== 'string') return valueText(value);
    if (field === 'budget') return formats.money(value);
    if (field === 'budget_window') return windowName(value, t);
    const status = `status.${value}`;
    if (field === 'status') return isWord(status) ? t(status) : value;
    return field.endsWith('_at') ? formats.dateTime(value) : valueText(value);
  };
}

function fieldName(field: string, t: ReturnType<typeof useT>): string {
  const word = `field.${field}`;
  return isWord(word) ? t(word) : field;
}

function valueText(value: unknown): string {
  if (value === null || value === undefined || value === '') return '–';
  if (Array.isArray(value)) return value.length === 0 ? '–' : value.map(valueText).join(', ');
  if (typeof value === 'string') return value;
  return JSON.stringify(value) ?? '–';
}
