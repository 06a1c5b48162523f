import { useLayoutEffect, useRef, useState } from 'react';
import { useT } from '../context.tsx';

/** Bars over time, stacked by series. Drawn as SVG, with the same numbers as a table for who cannot see it. */
export interface Series {
  readonly name: string;
  /** One value per label, in its order. */
  readonly values: readonly number[];
  /** The smaller ones together. */
  readonly isRest?: boolean;
}

interface ChartProps {
  readonly title: string;
  readonly labels: readonly string[];
  readonly series: readonly Series[];
  readonly format: (value: number) => string;
  readonly formatLabel: (label: string) => string;
  readonly height?: number;
}

const WIDTH_DEFAULT = 720;
/** For the amounts beside the lines. */
const LEFT = 58;
/** A label of the time needs about so much. */
const LABEL = 76;
const BOTTOM = 22;
export const SERIES_MAX = 6;

/** A class per series, so that the content policy needs no inline style. */
const FILLS = [
  'fill-[var(--series-1)]',
  'fill-[var(--series-2)]',
  'fill-[var(--series-3)]',
  'fill-[var(--series-4)]',
  'fill-[var(--series-5)]',
  'fill-[var(--series-6)]',
] as const;
const REST = 'fill-[var(--series-rest)]';
const fillOf = (series: readonly Series[], index: number) =>
  series[index]?.isRest === true ? REST : (FILLS[index] ?? REST);

export function BarChart({ title, labels, series, format, formatLabel, height = 220 }: ChartProps) {
  const t = useT();
  const [at, setAt] = useState<number | null>(null);
  const [box, width] = useWidth();
  const totals = labels.map((_, index) => series.reduce((sum, { values }) => sum + (values[index] ?? 0), 0));
  const top = niceTop(Math.max(0, ...totals));
  const plot = height - BOTTOM;
  const step = (width - LEFT) / Math.max(1, labels.length);
  const bar = Math.min(44, Math.max(2, step * 0.68));
  const yOf = (value: number) => plot - (value / top) * (plot - 12);
  const every = Math.max(1, Math.ceil((labels.length * LABEL) / (width - LEFT)));
  const sum = totals.reduce((a, b) => a + b, 0);
  const move = (by: number) =>
    setAt((now) => Math.min(labels.length - 1, Math.max(0, (now ?? labels.length - 1 - by) + by)));
  return (
    <figure className="relative">
      <div className="relative" ref={box}>
        <svg
          viewBox={`0 0 ${width} ${height}`}
          className="h-auto w-full touch-pan-y overflow-visible"
          role="img"
          tabIndex={0}
          aria-label={t('chart.label', { title, sum: format(sum) })}
          onPointerMove={(event) => {
            const box = event.currentTarget.getBoundingClientRect();
            const x = ((event.clientX - box.left) / box.width) * width - LEFT;
            setAt(Math.min(labels.length - 1, Math.max(0, Math.floor(x / step))));
          }}
          onPointerLeave={() => setAt(null)}
          onBlur={() => setAt(null)}
          onKeyDown={(event) => {
            if (event.key === 'ArrowRight') move(1);
            else if (event.key === 'ArrowLeft') move(-1);
            else return;
            event.preventDefault();
          }}
        >
          {[0.5, 1].map((part) => (
            <g key={part}>
              <line x1={LEFT} x2={width} y1={yOf(top * part)} y2={yOf(top * part)} className="stroke-line" />
              <text x={LEFT - 10} y={yOf(top * part) + 4} textAnchor="end" className="fill-soft text-[12px]">
                {format(top * part)}
              </text>
            </g>
          ))}
          {labels.map((label, index) => {
            const x = LEFT + index * step + (step - bar) / 2;
            let base = 0;
            return (
              <g key={label} opacity={at === null || at === index ? 1 : 0.45}>
                {series.map(({ name, values }, which) => {
                  const value = values[index] ?? 0;
                  if (value <= 0) return null;
                  const y = yOf(base + value);
                  const tall = yOf(base) - y;
                  base += value;
                  return (
                    <rect
                      key={name}
                      x={x}
                      y={y}
                      width={bar}
                      height={Math.max(tall, 1)}
                      rx={1.5}
                      className={fillOf(series, which)}
                    />
                  );
                })}
              </g>
            );
          })}
          <line x1={LEFT} x2={width} y1={plot} y2={plot} className="stroke-strong" />
          {labels.map((label, index) =>
            index % every === 0 ? (
              <text
                key={label}
                x={LEFT + index * step + step / 2}
                y={height - 6}
                textAnchor="middle"
                className="fill-soft text-[12px]"
              >
                {formatLabel(label)}
              </text>
            ) : null,
          )}
        </svg>
        {at !== null && labels[at] !== undefined && (
          <div
            role="status"
            className={`pointer-events-none absolute top-0 z-10 min-w-40 rounded-lg border border-line bg-surface px-3 py-2 text-sm shadow-lg ${at > labels.length / 2 ? 'left-2' : 'right-2'}`}
          >
            <p className="flex justify-between gap-6 font-medium">
              {formatLabel(labels[at])} <span className="num">{format(totals[at] ?? 0)}</span>
            </p>
            {series.length > 1 &&
              series.map(({ name, values }, which) =>
                (values[at] ?? 0) === 0 ? null : (
                  <p key={name} className="flex items-center gap-2 text-soft">
                    <Dot fill={fillOf(series, which)} />
                    <span className="flex-1 truncate">{name}</span>
                    <span className="num">{format(values[at] ?? 0)}</span>
                  </p>
                ),
              )}
          </div>
        )}
      </div>
      {series.length > 1 && (
        <ul className="mt-3 flex flex-wrap gap-x-5 gap-y-1 text-sm text-soft">
          {series.map(({ name }, index) => (
            <li key={name} className="flex items-center gap-2">
              <Dot fill={fillOf(series, index)} />
              {name}
            </li>
          ))}
        </ul>
      )}
      <div className="sr-only">
        <table>
          <caption>{title}</caption>
          <tbody>
            {labels.map((label, index) => (
              <tr key={label}>
                <th scope="row">{formatLabel(label)}</th>
                <td>{format(totals[index] ?? 0)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </figure>
  );
}

/** The width that there is: letters keep their size, bars take what remains. */
function useWidth() {
  const box = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(WIDTH_DEFAULT);
  useLayoutEffect(() => {
    const element = box.current;
    if (element === null) return undefined;
    const measure = () => setWidth(Math.max(240, element.clientWidth));
    const observer = new ResizeObserver(measure);
    observer.observe(element);
    measure();
    return () => observer.disconnect();
  }, []);
  return [box, width] as const;
}

function Dot({ fill }: { readonly fill: string }) {
  return (
    <svg viewBox="0 0 10 10" className="size-2.5 shrink-0" aria-hidden="true">
      <rect width="10" height="10" rx="3" className={fill} />
    </svg>
  );
}

/** A round number that the highest bar stays below. */
function niceTop(max: number): number {
  if (max <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(max));
  return [1, 2, 2.5, 5, 10].map((part) => part * power).find((top) => top >= max) ?? max;
}

/** The largest series by name, and the others together. */
export function topSeries(series: readonly Series[], rest: string): readonly Series[] {
  const sumOf = ({ values }: Series) => values.reduce((a, b) => a + b, 0);
  const sorted = series.toSorted((a, b) => sumOf(b) - sumOf(a));
  if (sorted.length <= SERIES_MAX) return sorted;
  const others = sorted.slice(SERIES_MAX - 1);
  const values = others[0]!.values.map((_, index) =>
    others.reduce((sum, one) => sum + (one.values[index] ?? 0), 0),
  );
  return [...sorted.slice(0, SERIES_MAX - 1), { name: rest, values, isRest: true }];
}
