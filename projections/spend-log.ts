import { defineProjection, tenantOf } from '../src/projection.ts';

/** An upstream's id is as long as it likes; an index entry is not. */
const RESPONSE_ID_MAX = 512;

/** One row per request: everything that was recorded about it. */
export const spendLog = defineProjection({
  name: 'spend_log',
  version: 2,
  columns: {
    position: 'bigint',
    request_id: 'text',
    agency_id: 'text',
    tenant_id: 'text',
    project_id: 'text?',
    key_id: 'text',
    token_hash: 'text',
    user_id: 'text?',
    end_user: 'text?',
    tags: 'text[]',
    route: 'text',
    model: 'text',
    deployment: 'text',
    stream: 'boolean',
    /** Decides the period and every window. */
    admitted_at: 'instant',
    recorded_at: 'instant',
    /** `YYYY-MM` of the admission in the agency's zone. */
    month: 'text',
    outcome: 'text',
    status: 'bigint',
    usage_source: 'text',
    input_tokens: 'bigint',
    cached_input_tokens: 'bigint',
    output_tokens: 'bigint',
    reasoning_tokens: 'bigint',
    currency: 'text',
    price_nanos: 'nanos',
    cost_nanos: 'nanos',
    duration_ms: 'bigint',
    /** Null when no byte arrived. */
    first_byte_ms: 'bigint?',
    response_id: 'text?',
  },
  // By place in the log, so that rows are added at the end. Every index costs each request, so there
  // are only those that limits, audits and lists cannot do without: time alone grows at its end, and
  // ids are looked up by what blocks of rows are known not to have.
  key: ['position'],
  indexes: [['key_id', 'admitted_at'], ['tenant_id', 'admitted_at'], ['admitted_at']],
  lookups: ['request_id', 'response_id'],
  on: {
    'spend.recorded': (spend, recorded) => ({
      op: 'insert',
      row: {
        position: recorded.position,
        request_id: spend.requestId,
        agency_id: recorded.agencyId,
        tenant_id: tenantOf(recorded),
        project_id: spend.projectId,
        key_id: spend.keyId,
        token_hash: spend.tokenHash,
        user_id: spend.userId,
        end_user: spend.endUser,
        tags: spend.tags,
        route: spend.route,
        model: spend.model,
        deployment: spend.deployment,
        stream: spend.stream,
        admitted_at: spend.admittedAt,
        recorded_at: recorded.recordedAt,
        month: spend.month,
        outcome: spend.outcome,
        status: BigInt(spend.status),
        usage_source: spend.usageSource,
        input_tokens: BigInt(spend.usage.inputTokens),
        cached_input_tokens: BigInt(spend.usage.cachedInputTokens),
        output_tokens: BigInt(spend.usage.outputTokens),
        reasoning_tokens: BigInt(spend.usage.reasoningTokens),
        currency: spend.currency,
        price_nanos: spend.priceNanos,
        cost_nanos: spend.costNanos,
        duration_ms: BigInt(spend.durationMs),
        first_byte_ms: spend.firstByteMs === null ? null : BigInt(spend.firstByteMs),
        response_id: spend.responseId === null ? null : spend.responseId.slice(0, RESPONSE_ID_MAX),
      },
    }),
  },
});
