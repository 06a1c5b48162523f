import type { ReactNode } from 'react';
import type { ApiError } from '../api/client.ts';
import { useT } from '../context.tsx';
import { useProblems, useSentence } from '../problems.ts';
import { Button } from './basics.tsx';
import { Icon, type IconName } from './icons.tsx';

/** What stands in the place of content that is not there: not yet, not at all, or because of an error. */
export function Empty({
  icon,
  title,
  children,
  action,
}: {
  readonly icon: IconName;
  readonly title: string;
  readonly children?: ReactNode;
  readonly action?: ReactNode;
}) {
  return (
    <div className="flex flex-col items-center gap-2 px-6 py-12 text-center">
      <span className="mb-1 rounded-full bg-tint p-3 text-accent">
        <Icon name={icon} className="size-6" />
      </span>
      <p className="font-medium">{title}</p>
      {children !== undefined && <div className="max-w-md text-soft text-balance">{children}</div>}
      {action !== undefined && <div className="mt-2">{action}</div>}
    </div>
  );
}

export function Loading({ rows = 5 }: { readonly rows?: number }) {
  const t = useT();
  return (
    <div role="status" className="flex flex-col gap-3 px-5 py-5">
      <span className="sr-only">{t('loading')}</span>
      {Array.from({ length: rows }, (_, index) => (
        <div
          key={index}
          className="skeleton h-5 rounded bg-sunken"
          style={{ width: `${96 - ((index * 17) % 40)}%` }}
        />
      ))}
    </div>
  );
}

export function Problem({ error, retry }: { readonly error: ApiError; readonly retry?: () => void }) {
  const t = useT();
  const sentence = useSentence();
  const problems = Object.entries(useProblems(error));
  const several = error.reason === 'invalid_input' && problems.length > 0;
  return (
    <div
      role="alert"
      className="m-3 flex flex-wrap items-center gap-3 rounded-lg bg-bad-tint px-4 py-3 text-bad"
    >
      <Icon name="alert" />
      <div className="min-w-0 flex-1 break-words">
        {several ? (
          <>
            <p>{t('fault.check')}</p>
            <ul className="list-disc pl-5">
              {problems.map(([field, problem]) => (
                <li key={field}>
                  {field === '' ? '' : `${field}: `}
                  {problem}
                </li>
              ))}
            </ul>
          </>
        ) : (
          <p>{sentence(error)}</p>
        )}
      </div>
      {retry !== undefined && (
        <Button onClick={retry} kind="danger">
          {t('retry')}
        </Button>
      )}
    </div>
  );
}

interface Asked<T> {
  readonly data: T | undefined;
  readonly error: ApiError | null;
  readonly isPending: boolean;
  readonly refetch: () => unknown;
}

/** The content when it has come, else why not. Old content stays while a newer one fails to come. */
export function Shown<T>({
  of,
  rows,
  children,
}: {
  readonly of: Asked<T>;
  readonly rows?: number;
  readonly children: (data: T) => ReactNode;
}) {
  const retry = () => void of.refetch();
  if (of.data !== undefined)
    return (
      <>
        {of.error !== null && <Problem error={of.error} retry={retry} />}
        {children(of.data)}
      </>
    );
  if (of.error !== null) return <Problem error={of.error} retry={retry} />;
  return <Loading {...(rows === undefined ? {} : { rows })} />;
}
