import { limitColumns } from '../../projections/subject-columns.ts';
import { complied } from '../domain/key.ts';
import type { Environment } from '../domain/limits.ts';
import { standing } from '../domain/tenant-contract.ts';
import { stepsThrough } from '../domain/contract.ts';
import { readAgreed, readKeyLimits, readTerms, readVersions } from '../domain/terms-json.ts';
import { toJson } from '../projection.ts';
import { limitsOf, numberOrNull } from './allowance.ts';
import type { CallerRows } from './caller-levels.ts';

/**
 * The rows of a tenant and its keys as they are once an agreed change has come into force, whether or
 * not the job that writes it into the keys has run. While nothing is due, which is nearly always, they
 * are the rows of the read models themselves.
 */
type TenantRow = CallerRows['tenant'];
type KeyRow = CallerRows['key'];

export interface ContractNow {
  readonly tenant: TenantRow;
  readonly key: KeyRow;
}

export function contractClock(): (tenant: TenantRow, key: KeyRow, nowMs: number) => ContractNow {
  const known = new WeakMap<TenantRow, Due>();
  return (tenant, key, nowMs) => {
    if (tenant.due_at === null) return { tenant, key };
    let due = known.get(tenant);
    if (due === undefined || nowMs >= due.untilMs || nowMs < due.fromMs) {
      due = dueAt(tenant, nowMs);
      known.set(tenant, due);
    }
    return { tenant: due.tenant, key: due.keyNow(key) };
  };
}

/** What is in force from an instant until another, both in milliseconds. */
interface Due {
  readonly fromMs: number;
  readonly untilMs: number;
  readonly tenant: TenantRow;
  readonly keyNow: (key: KeyRow) => KeyRow;
}

function dueAt(tenant: TenantRow, nowMs: number): Due {
  const planned = readVersions(tenant.planned);
  const times = planned.map(({ effectiveFrom }) => Date.parse(effectiveFrom));
  const span = {
    fromMs: Math.max(-Infinity, ...times.filter((ms) => ms <= nowMs)),
    untilMs: Math.min(Infinity, ...times.filter((ms) => ms > nowMs)),
  };
  if (Date.parse(tenant.due_at!) > nowMs) return { ...span, tenant, keyNow: (key) => key };
  const { applied, due, paused } = standing(
    { applied: appliedIn(tenant), planned },
    new Date(nowMs).toISOString(),
    tenant.status === 'suspended',
  );
  const steps = stepsThrough(tenant.followed === null ? null : readKeyLimits(tenant.followed), due);
  const terms = applied === null || applied.terms === null ? null : toJson(applied.terms);
  const agreed = applied === null || applied.agreed === null ? null : toJson(applied.agreed);
  const from = applied === null ? tenant.effective_from : applied.effectiveFrom;
  const inForce = due.length === 0 ? tenant : { ...tenant, terms, agreed, effective_from: from };
  const keys = new WeakMap<KeyRow, KeyRow>();
  const keyNow = (key: KeyRow): KeyRow => {
    let now = keys.get(key);
    if (now === undefined) keys.set(key, (now = inLine(key, steps, paused)));
    return now;
  };
  return { ...span, tenant: inForce, keyNow };
}

function appliedIn({ contract_id: contractId, effective_from: from, terms, agreed }: TenantRow) {
  if (contractId === null || from === null) return null;
  return {
    contractId,
    effectiveFrom: from,
    terms: terms === null ? null : readTerms(terms),
    agreed: readAgreed(agreed),
  };
}

function inLine(row: KeyRow, steps: ReturnType<typeof stepsThrough>, paused: boolean): KeyRow {
  const { limits } = complied(
    {
      limits: limitsOf(row),
      ...(row.paused ? { pausedParallel: numberOrNull(row.paused_parallel) } : {}),
      settings: { environment: row.environment as Environment | null },
    },
    steps,
    paused,
  );
  return { ...row, ...limitColumns(limits) };
}
