import { useEffect, useState } from 'react';
import type { LimitLevel } from '../api/shapes-keys.ts';
import { useRead } from '../api/hooks.ts';
import { useFormats, useT } from '../context.tsx';
import { amountOf } from '../format.ts';
import { useNames } from '../names.ts';
import { Card, Meter, Time } from '../parts/basics.tsx';
import { Shown } from '../parts/states.tsx';

/** The limits that a call with the key has to pass, each with what is used of it at this moment. */
/** While something was used in the last minute, that minute moves on by itself. */
const MINUTE_MOVES_MS = 5_000;

export function KeyLevels({ id }: { readonly id: string }) {
  const t = useT();
  const [moves, setMoves] = useState(false);
  const limits = useRead('GET /api/keys/:id/limits', {
    params: { id },
    live: { topics: ['usage', 'keys', 'tenants'] },
    ...(moves ? { everyMs: MINUTE_MOVES_MS } : {}),
  });
  const used = limits.data?.levels.some(({ last_minute: minute }) => minute.requests > 0) ?? false;
  useEffect(() => setMoves(used), [used]);
  return (
    <Card title={t('key.levels')} action={<span className="text-sm text-soft">{t('key.levels.live')}</span>}>
      <Shown of={limits}>
        {({ levels }) => (
          <div className="flex flex-col divide-y divide-line">
            {levels.map((level) => (
              <Level key={level.level} of={level} />
            ))}
          </div>
        )}
      </Shown>
    </Card>
  );
}

function Level({ of: level }: { readonly of: LimitLevel }) {
  const t = useT();
  const formats = useFormats();
  const names = useNames();
  const { limits, last_minute: minute, spent } = level;
  const name =
    level.level === 'tenant'
      ? names.tenant(level.id)
      : level.level === 'project'
        ? names.project(level.id)
        : '';
  const isFree =
    limits.budget === null && limits.requests_per_minute === null && limits.tokens_per_minute === null;
  return (
    <section className="py-4 first:pt-1 last:pb-0">
      <h3 className="mb-2 flex flex-wrap items-baseline gap-2">
        <span className="font-medium">{t(`level.${level.level}`)}</span>
        <span className="text-sm text-soft">{name}</span>
      </h3>
      {isFree ? (
        <p className="text-sm text-soft">{t('level.free')}</p>
      ) : (
        <div className="grid gap-x-8 gap-y-3 sm:grid-cols-3">
          <Gauge
            label={t('budget')}
            used={amountOf(spent)}
            of={limits.budget === null ? null : amountOf(limits.budget)}
            format={(value) => formats.money(value)}
            note={
              level.resets_at === null ? null : (
                <>
                  {t('level.resets')} <Time at={level.resets_at} as="date" />
                </>
              )
            }
          />
          <Gauge
            label={t('limit.rpm')}
            used={minute.requests}
            of={limits.requests_per_minute}
            format={formats.number}
          />
          <Gauge
            label={t('limit.tpm')}
            used={minute.tokens}
            of={limits.tokens_per_minute}
            format={formats.compact}
          />
        </div>
      )}
      {limits.models.length > 0 && (
        <p className="mt-2 text-sm text-soft">{t('level.models', { models: limits.models.join(', ') })}</p>
      )}
    </section>
  );
}

function Gauge({
  label,
  used,
  of,
  format,
  note = null,
}: {
  readonly label: string;
  readonly used: number;
  readonly of: number | null;
  readonly format: (value: number) => string;
  readonly note?: React.ReactNode;
}) {
  const t = useT();
  return (
    <div className="flex flex-col gap-1">
      <span className="text-sm text-soft">{label}</span>
      {of === null ? (
        <span className="num">{t('unlimited')}</span>
      ) : (
        <>
          <span className="num">
            {format(used)} <span className="text-soft">/ {format(of)}</span>
          </span>
          <Meter used={used} of={of} label={label} />
        </>
      )}
      {note !== null && <span className="text-sm text-soft">{note}</span>}
    </div>
  );
}
