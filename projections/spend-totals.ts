import { defineProjection, tenantOf } from '../src/projection.ts';

/** What was spent since the beginning, on every level that a request counts on. */
export const spendTotals = defineProjection({
  name: 'spend_totals',
  version: 2,
  columns: {
    /** key | tenant | project | user | member | end-user | tag */
    level: 'text',
    /** Of a member `<project>/<user>`, of an end user or a tag `<tenant>/<name>`. */
    id: 'text',
    requests: 'sum',
    input_tokens: 'sum',
    output_tokens: 'sum',
    price_nanos: 'sum',
    cost_nanos: 'sum',
    /** Admission of the request that was recorded last. */
    last_at: 'instant',
  },
  key: ['level', 'id'],
  on: {
    'spend.recorded': (spend, recorded) => {
      const by = {
        requests: 1n,
        input_tokens: BigInt(spend.usage.inputTokens),
        output_tokens: BigInt(spend.usage.outputTokens),
        price_nanos: spend.priceNanos,
        cost_nanos: spend.costNanos,
      };
      const set = { last_at: spend.admittedAt };
      const add = (level: string, id: string) => ({ op: 'add', key: { level, id }, by, set }) as const;
      return [
        add('key', spend.keyId),
        add('tenant', tenantOf(recorded)),
        ...(spend.projectId === null ? [] : [add('project', spend.projectId)]),
        ...(spend.userId === null ? [] : [add('user', spend.userId)]),
        ...(spend.userId === null || spend.projectId === null
          ? []
          : [add('member', `${spend.projectId}/${spend.userId}`)]),
        ...(spend.endUser === null ? [] : [add('end-user', `${tenantOf(recorded)}/${spend.endUser}`)]),
        ...[...new Set(spend.tags)].map((tag) => add('tag', `${tenantOf(recorded)}/${tag}`)),
      ];
    },
  },
});
