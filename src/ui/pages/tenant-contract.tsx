import { useState } from 'react';
import type { Contract, Limits, Planned } from '../api/shapes-keys.ts';
import { useFormats, useRights, useT } from '../context.tsx';
import { Button, Card, Facts, Time } from '../parts/basics.tsx';
import { Empty } from '../parts/states.tsx';
import { ChangeContract } from './contract-change.tsx';
import { PlannedList } from './contract-planned.tsx';
import { LimitTable } from './limit-table.tsx';

/** The contract in force, what is agreed for later, and the way to change it. */
export function ContractCard({
  tenantId,
  contract,
  planned,
}: {
  readonly tenantId: string;
  readonly contract: Contract | null;
  readonly planned: readonly Planned[];
}) {
  const t = useT();
  const { admin } = useRights();
  const [changing, setChanging] = useState(false);
  return (
    <Card
      title={t('contract')}
      action={
        admin && (
          <Button kind="quiet" onClick={() => setChanging(true)}>
            {t('contract.change')}
          </Button>
        )
      }
    >
      {contract === null ? <Empty icon="plans" title={t('contract.none')} /> : <Terms of={contract} />}
      {planned.length > 0 && <PlannedList of={planned} />}
      {changing && (
        <ChangeContract tenantId={tenantId} contract={contract} onClose={() => setChanging(false)} />
      )}
    </Card>
  );
}

/** What is agreed apart from the plan holds in its place. */
type Agreed = Readonly<Partial<Record<'production' | 'staging' | 'tenant', Partial<Limits>>>>;

function Terms({ of: contract }: { readonly of: Contract }) {
  const t = useT();
  const agreed = (contract.agreed ?? {}) as Agreed;
  const formats = useFormats();
  return (
    <>
      <Facts
        items={[
          [t('plan'), `${contract.plan} v${contract.plan_version}`],
          [t('contract.from'), <Time key="from" at={contract.effective_from} as="date" />],
          [t('plan.fee'), t('per.month', { sum: formats.money(contract.monthly_fee) })],
          [t('plan.included'), t('per.month', { sum: formats.money(contract.included_usage) })],
          ...(contract.agreed === null ? [] : [[t('contract.agreed'), t('yes')] as const]),
        ]}
      />
      <h3 className="mt-5 mb-2 text-sm font-semibold">{t('limits')}</h3>
      <LimitTable
        columns={[
          [t('env.production'), { ...contract.limits.production, ...agreed.production }],
          [t('env.staging'), { ...contract.limits.staging, ...agreed.staging }],
          [t('tenant'), { ...contract.tenant_limits, ...agreed.tenant }],
        ]}
      />
    </>
  );
}
