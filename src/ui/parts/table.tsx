import { type ReactNode, useState } from 'react';
import { useT } from '../context.tsx';
import { Button } from './basics.tsx';

export interface Column<Row> {
  readonly title: string;
  readonly cell: (row: Row) => ReactNode;
  /** Numbers stand to the right, so that their digits are below each other. */
  readonly right?: boolean;
  /** From which width on it is shown. */
  readonly from?: 'sm' | 'md' | 'lg' | 'xl';
  /** What remains of the width. */
  readonly wide?: boolean;
}

const FROM = {
  sm: 'hidden sm:table-cell',
  md: 'hidden md:table-cell',
  lg: 'hidden lg:table-cell',
  xl: 'hidden xl:table-cell',
} as const;

/** A table with a caption for screen readers. Columns that matter less go first when it is narrow. */
export function Table<Row>({
  caption,
  columns,
  rows,
  keyOf,
  foot,
}: {
  readonly caption: string;
  readonly columns: readonly Column<Row>[];
  readonly rows: readonly Row[];
  readonly keyOf: (row: Row) => string;
  readonly foot?: ReactNode;
}) {
  const styleOf = ({ right, from, wide }: Column<Row>) =>
    `${from === undefined ? '' : FROM[from]} ${right === true ? 'text-right' : 'text-left'} ${wide === true ? 'w-full' : ''}`;
  return (
    <div className="overflow-x-auto" tabIndex={0} role="region" aria-label={caption}>
      <table className="w-full text-[0.95rem]">
        <caption className="sr-only">{caption}</caption>
        <thead>
          <tr className="border-b border-line text-sm text-soft">
            {columns.map((column) => (
              <th
                key={column.title}
                scope="col"
                className={`px-3 py-2.5 font-medium whitespace-nowrap first:pl-5 last:pr-5 ${styleOf(column)}`}
              >
                {column.title}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={keyOf(row)} className="border-b border-line last:border-0 hover:bg-sunken/60">
              {columns.map((column) => (
                <td
                  key={column.title}
                  className={`px-3 py-2.5 first:pl-5 last:pr-5 ${column.right === true ? 'num' : ''} ${styleOf(column)}`}
                >
                  {column.cell(row)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
        {foot !== undefined && <tfoot>{foot}</tfoot>}
      </table>
    </div>
  );
}

export function Pager({
  page,
  pages,
  total,
  onPage,
}: {
  readonly page: number;
  readonly pages: number;
  readonly total: string;
  readonly onPage: (page: number) => void;
}) {
  const t = useT();
  return (
    <nav
      aria-label={t('pages')}
      className="flex flex-wrap items-center justify-between gap-3 border-t border-line px-5 py-3 text-soft"
    >
      <span className="num">{total}</span>
      {pages > 1 && (
        <span className="flex items-center gap-2">
          <Button kind="quiet" icon="left" disabled={page <= 1} onClick={() => onPage(page - 1)}>
            {t('previous')}
          </Button>
          <span className="num">{t('page', { page, pages })}</span>
          <Button kind="quiet" disabled={page >= pages} onClick={() => onPage(page + 1)}>
            {t('next')}
          </Button>
        </span>
      )}
    </nav>
  );
}

/** The way through a list that the API gives page by page, each with the name of the next. */
export interface Cursors {
  /** Undefined on the first page. */
  readonly cursor: string | undefined;
  /** 0 on the first page. */
  readonly passed: number;
  readonly forward: (next: string) => void;
  readonly backTo: (passed: number) => void;
}

export function useCursors(): Cursors {
  const [cursors, setCursors] = useState<readonly string[]>([]);
  return {
    cursor: cursors.at(-1),
    passed: cursors.length,
    forward: (next) => setCursors([...cursors, next]),
    backTo: (passed) => setCursors(cursors.slice(0, passed)),
  };
}

/** Nothing while one page holds everything. */
export function CursorPager({
  of: { passed, forward, backTo },
  next,
}: {
  readonly of: Cursors;
  readonly next: string | null;
}) {
  if (next === null && passed === 0) return null;
  return (
    <Pager
      page={passed + 1}
      pages={passed + (next === null ? 1 : 2)}
      total=""
      onPage={(page) => (page <= passed ? backTo(page - 1) : forward(next ?? ''))}
    />
  );
}
