import { type ButtonHTMLAttributes, type ReactNode, useEffect } from 'react';
import { Link } from 'wouter';
import { useFormats, useT } from '../context.tsx';
import { isWord } from '../words/words.ts';
import { Icon, type IconName } from './icons.tsx';

/** The small parts that every page is made of. */
const BUTTON =
  'inline-flex items-center justify-center gap-2 rounded-lg px-3.5 min-h-10 font-medium transition-colors disabled:opacity-50 whitespace-nowrap';
const KINDS = {
  primary: 'bg-accent text-on-accent hover:bg-accent-hover',
  plain: 'border border-strong bg-surface hover:bg-sunken',
  quiet: 'hover:bg-sunken text-soft hover:text-ink',
  danger: 'border border-bad/50 text-bad bg-surface hover:bg-bad-tint',
} as const;
export type ButtonKind = keyof typeof KINDS;

interface ButtonProps extends ButtonHTMLAttributes<HTMLButtonElement> {
  readonly kind?: ButtonKind;
  readonly icon?: IconName;
  /** Shows that it is at work, and takes no click meanwhile. */
  readonly busy?: boolean;
}

export function Button({
  kind = 'plain',
  icon,
  busy = false,
  children,
  className = '',
  ...rest
}: ButtonProps) {
  return (
    <button
      type="button"
      {...rest}
      disabled={rest.disabled === true || busy}
      aria-busy={busy}
      className={`${BUTTON} ${KINDS[kind]} ${className}`}
    >
      {busy ? <Spinner /> : icon !== undefined && <Icon name={icon} className="size-4.5" />}
      {children}
    </button>
  );
}

export function LinkButton({
  to,
  kind = 'plain',
  icon,
  children,
}: {
  readonly to: string;
  readonly kind?: ButtonKind;
  readonly icon?: IconName;
  readonly children: ReactNode;
}) {
  return (
    <Link href={to} className={`${BUTTON} ${KINDS[kind]}`}>
      {icon !== undefined && <Icon name={icon} className="size-4.5" />}
      {children}
    </Link>
  );
}

/** A file that the server sends, whole or not at all. */
export function DownloadLink({ to, children }: { readonly to: string; readonly children: ReactNode }) {
  return (
    <a href={to} download className={`${BUTTON} ${KINDS.plain}`}>
      <Icon name="download" className="size-4.5" />
      {children}
    </a>
  );
}

export function Spinner() {
  return (
    <svg viewBox="0 0 20 20" className="size-4.5 animate-spin motion-reduce:hidden" aria-hidden="true">
      <circle cx="10" cy="10" r="7" fill="none" stroke="currentColor" strokeWidth="2.5" opacity="0.25" />
      <path
        d="M10 3a7 7 0 0 1 7 7"
        fill="none"
        stroke="currentColor"
        strokeWidth="2.5"
        strokeLinecap="round"
      />
    </svg>
  );
}

export function Card({
  title,
  action,
  children,
  className = '',
  flush = false,
}: {
  readonly title?: ReactNode;
  readonly action?: ReactNode;
  readonly children: ReactNode;
  readonly className?: string;
  /** Without a margin inside: for tables. */
  readonly flush?: boolean;
}) {
  return (
    <section
      className={`min-w-0 rounded-xl border border-line bg-surface shadow-card ${flush ? 'overflow-hidden' : ''} ${className}`}
    >
      {title !== undefined && (
        <div className="flex min-h-13 flex-wrap items-center justify-between gap-x-4 gap-y-1 px-5 pt-3.5 pb-1">
          <h2 className="font-semibold">{title}</h2>
          {action}
        </div>
      )}
      <div className={flush ? '' : 'px-5 pt-2 pb-5'}>{children}</div>
    </section>
  );
}

export function Page({
  title,
  lead,
  back,
  actions,
  children,
}: {
  readonly title: ReactNode;
  readonly lead?: ReactNode;
  readonly back?: { readonly to: string; readonly label: string };
  readonly actions?: ReactNode;
  readonly children: ReactNode;
}) {
  useEffect(() => {
    if (typeof title === 'string') document.title = `${title} · Keyledger`;
  }, [title]);
  return (
    <div className="appear flex flex-col gap-5">
      <header className="flex flex-wrap items-end justify-between gap-x-6 gap-y-3">
        <div className="min-w-0">
          {back !== undefined && (
            <Link
              href={back.to}
              className="mb-1 -ml-1 inline-flex items-center gap-1 rounded text-sm text-soft hover:text-ink"
            >
              <Icon name="left" className="size-4" />
              {back.label}
            </Link>
          )}
          <h1 className="text-2xl font-semibold tracking-tight text-balance break-words">{title}</h1>
          {lead !== undefined && <div className="mt-1 text-soft">{lead}</div>}
        </div>
        {actions !== undefined && <div className="flex flex-wrap gap-2">{actions}</div>}
      </header>
      {children}
    </div>
  );
}

const TONES = {
  good: 'bg-good-tint text-good',
  warn: 'bg-warn-tint text-warn',
  bad: 'bg-bad-tint text-bad',
  calm: 'bg-sunken text-soft',
  accent: 'bg-tint text-accent',
} as const;
export type Tone = keyof typeof TONES;

export function Badge({ tone, children }: { readonly tone: Tone; readonly children: ReactNode }) {
  return (
    <span
      className={`inline-flex items-center gap-1.5 rounded-full px-2.5 py-0.5 text-sm font-medium whitespace-nowrap ${TONES[tone]}`}
    >
      <span className="size-1.5 rounded-full bg-current" aria-hidden="true" />
      {children}
    </span>
  );
}

const STATUS_TONES: Readonly<Record<string, Tone>> = {
  active: 'good',
  appointed: 'good',
  dismissed: 'calm',
  open: 'good',
  paid: 'good',
  completed: 'good',
  healthy: 'good',
  blocked: 'bad',
  suspended: 'bad',
  overdue: 'bad',
  failed: 'bad',
  finalized: 'accent',
  sent: 'accent',
  draft: 'warn',
  skipped: 'calm',
};

export function Status({ of }: { readonly of: string }) {
  const t = useT();
  const word = `status.${of}`;
  return <Badge tone={STATUS_TONES[of] ?? 'calm'}>{isWord(word) ? t(word) : of}</Badge>;
}

/** A time as it is in the agency's zone, with the exact instant on hover. */
export function Time({
  at,
  as = 'dateTime',
}: {
  readonly at: string | null;
  readonly as?: 'dateTime' | 'date' | 'time';
}) {
  const formats = useFormats();
  if (at === null) return <span className="text-soft">–</span>;
  return (
    <time dateTime={at} title={`${at} · ${formats.zone}`} className="num">
      {formats[as](at)}
    </time>
  );
}

export function Figure({
  label,
  value,
  note,
  to,
}: {
  readonly label: string;
  readonly value: ReactNode;
  readonly note?: ReactNode;
  readonly to?: string;
}) {
  const body = (
    <>
      <span className="text-sm text-soft">{label}</span>
      <span className="num text-[1.3rem] leading-9 font-semibold tracking-tight sm:text-[1.65rem]">
        {value}
      </span>
      <span className="min-h-5 text-sm text-soft">{note}</span>
    </>
  );
  const style = 'flex flex-col rounded-xl border border-line bg-surface px-4 py-4 shadow-card sm:px-5';
  if (to === undefined) return <div className={style}>{body}</div>;
  return (
    <Link href={to} className={`${style} transition-colors hover:border-strong`}>
      {body}
    </Link>
  );
}

/** How much of something is used. Above four fifths it warns. */
export function Meter({
  used,
  of,
  label,
}: {
  readonly used: number;
  readonly of: number;
  readonly label: string;
}) {
  const share = of <= 0 ? 1 : used / of;
  const tone = share >= 1 ? 'bg-bad' : share >= 0.8 ? 'bg-warn' : 'bg-accent';
  return (
    <div
      role="meter"
      aria-label={label}
      aria-valuemin={0}
      aria-valuemax={100}
      aria-valuenow={Math.min(100, Math.round(share * 100))}
      className="h-1.5 w-full overflow-hidden rounded-full bg-line"
    >
      <div className={`h-full rounded-full ${tone}`} style={{ width: `${Math.min(100, share * 100)}%` }} />
    </div>
  );
}

export function Facts({
  items,
}: {
  readonly items: readonly (readonly [label: string, value: ReactNode])[];
}) {
  return (
    <dl className="grid grid-cols-[minmax(7rem,auto)_1fr] gap-x-6 gap-y-2">
      {items.map(([label, value]) => (
        <div key={label} className="contents">
          <dt className="text-soft">{label}</dt>
          <dd className="min-w-0 break-words">{value}</dd>
        </div>
      ))}
    </dl>
  );
}
