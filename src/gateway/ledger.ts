import type { Pool } from 'pg';
import type { DeploymentProviders } from './deployment-providers.ts';
import type { LevelName } from './levels.ts';
import type { SpentSince } from './limiter.ts';

/**
 * What was spent before this process looked: from the read models, which are asked once per budget
 * and window. Sum and position come from one statement and so from one moment.
 *
 * Since the beginning, most levels have a total; what has none, and every window, is summed up from
 * the log of requests. That has two indexes, by key and by tenant, each with the time of admission:
 * what belongs to one tenant is found through the tenant's, and a user's through the user's keys.
 */
const SINCE_EVER = `
  select p.position, coalesce(sum(t.price_nanos), 0)::text as nanos
  from projections p left join spend_totals t on TOTALS
  where p.name = 'spend_totals' group by p.position`;
/** $1 is the level's name, $2 its id. The installation's is that of its tenants. */
const OWN_TOTAL = 't.level = $1 and t.id = $2';
const ALL_TOTALS = "t.level = 'tenant' and $1 || $2 is not null";
/** A member, an end user and a tag have the id of the project or tenant before a slash. */
const [BEFORE, AFTER] = ["split_part($1, '/', 1)", "substr($1, strpos($1, '/') + 1)"];
const OWN_ROWS: Readonly<Record<LevelName, string>> = {
  key: 's.key_id = $1',
  project: 's.project_id = $1 and s.tenant_id = (select tenant_id from projects where project_id = $1)',
  tenant: 's.tenant_id = $1',
  overage: 's.tenant_id = $1',
  user: 's.user_id = $1 and s.tenant_id in (select tenant_id from keys where user_id = $1)',
  member: `s.user_id = ${AFTER} and s.project_id = ${BEFORE}
    and s.tenant_id = (select tenant_id from projects where project_id = ${BEFORE})`,
  'tenant-member': `s.user_id = ${AFTER} and s.tenant_id = ${BEFORE}`,
  'end-user': `s.end_user = ${AFTER} and s.tenant_id = ${BEFORE}`,
  tag: `s.tags @> array[${AFTER}] and s.tenant_id = ${BEFORE}`,
  provider: 's.deployment in (select deployment from deployment_providers where provider = $1)',
  installation: "$1 = '' and s.tenant_id in (select tenant_id from tenants)",
};

const WITHOUT_TOTAL: ReadonlySet<LevelName> = new Set(['tenant-member', 'provider']);

export interface LedgerOptions {
  readonly pool: Pool;
  /** Head of the log when this process started: what others wrote before must be in the read models. */
  readonly startPosition: bigint;
  /** Resolves when all read models have the log up to a position. */
  readonly settled: (position: bigint) => Promise<void>;
  /** Without them only what was noted before is known of providers. */
  readonly providers?: Pick<DeploymentProviders, 'note'>;
}

export function createLedger({ pool, startPosition, settled, providers }: LedgerOptions): SpentSince {
  return async (question) => {
    const { level, id, model, since, after, mustInclude, tag = null } = question;
    await settled(mustInclude > startPosition ? mustInclude : startPosition);
    if (level === 'provider') await providers?.note();
    const hasTotal =
      !WITHOUT_TOTAL.has(level) && model === null && since === null && after === null && tag === null;
    const { rows } = hasTotal
      ? await pool.query<Row>(totalOf(level), [level, id])
      : await pool.query<Row>(sumOf(level), [id, since, after, model, prefixOf(model), tag]);
    const [row] = rows;
    if (row === undefined) throw new Error('the read models of spend do not exist yet');
    return { nanos: BigInt(row.nanos), position: BigInt(row.position) };
  };
}

interface Row {
  /** As the pool's readers for bigint leave it. */
  readonly position: string | bigint;
  readonly nanos: string;
}

function totalOf(level: LevelName): string {
  return SINCE_EVER.replace('TOTALS', level === 'installation' ? ALL_TOTALS : OWN_TOTAL);
}

function sumOf(level: LevelName): string {
  return `
    select p.position, coalesce(sum(s.${level === 'provider' ? 'cost_nanos' : 'price_nanos'}), 0)::text as nanos
    from projections p left join spend_log s on ${OWN_ROWS[level]}
      and s.admitted_at >= coalesce($2::timestamptz, '-infinity')
      and s.position > coalesce($3::bigint, 0)
      and ($4::text is null or s.model = $4 or starts_with(s.model, $5))
      and ($6::text is null or starts_with(s.request_id, $6))
    where p.name = 'spend_log' group by p.position`;
}

/** What the names of models begin with that a wildcard means; a name alone means nothing but itself. */
function prefixOf(model: string | null): string | null {
  return model !== null && (model === '*' || model.endsWith('/*')) ? model.slice(0, -1) : null;
}
