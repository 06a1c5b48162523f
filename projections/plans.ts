import { defineProjection, toJson } from '../src/projection.ts';

/** Every published version of every plan. */
export const plans = defineProjection({
  name: 'plans',
  version: 1,
  columns: {
    name: 'text',
    version: 'bigint',
    /** Terms, with amounts as decimal strings. */
    terms: 'json',
    published_at: 'instant',
  },
  key: ['name', 'version'],
  on: {
    'plan.published': ({ terms }, { occurredAt }) => ({
      op: 'insert',
      row: {
        name: terms.plan,
        version: BigInt(terms.planVersion),
        terms: toJson(terms),
        published_at: occurredAt,
      },
    }),
  },
});
