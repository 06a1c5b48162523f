import type { Planned } from '../api/shapes-keys.ts';
import { useT } from '../context.tsx';
import { Time } from '../parts/basics.tsx';

/** Changes of a contract that are agreed for later. */
export function PlannedList({ of: planned }: { readonly of: readonly Planned[] }) {
  const t = useT();
  return (
    <section className="mt-5">
      <h3 className="mb-2 text-sm font-semibold">{t('contract.planned')}</h3>
      <ul className="flex flex-col gap-1.5">
        {planned.map(({ effective_from: from, plan, plan_version: version }) => (
          <li key={from} className="flex flex-wrap gap-x-3 rounded-lg bg-tint px-3 py-2">
            <Time at={from} as="date" />
            <span className="font-medium">
              {plan === null ? t('contract.ends') : `${plan} v${version ?? ''}`}
            </span>
          </li>
        ))}
      </ul>
    </section>
  );
}
