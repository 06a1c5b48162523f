import { type RawBuilder, sql } from 'kysely';
import { z } from 'zod';
import { nanosToNumber } from '../domain/money.ts';
import type { Db, Tables } from './read.ts';
import { AnyJson } from './schemas.ts';

/** Requests in the shape of LiteLLM's spend logs. What was asked and answered is not kept, so it is not shown. */
export const SpendRow = z
  .looseObject({
    request_id: z.string().describe("The id in the upstream's answer, else our own id of the call"),
    call_type: z.string(),
    api_key: z.string().describe('Token hash of the secret that was used'),
    spend: z.number(),
    total_tokens: z.number(),
    prompt_tokens: z.number(),
    completion_tokens: z.number(),
    startTime: z.string(),
    endTime: z.string(),
    completionStartTime: z.string().nullable(),
    model: z.string(),
    model_id: z.string(),
    model_group: z.string(),
    custom_llm_provider: z.string(),
    user: z.string(),
    end_user: z.string(),
    team_id: z.string().nullable(),
    organization_id: z.string().nullable(),
    request_tags: z.array(z.string()),
    status: z.enum(['success', 'failure']),
    metadata: AnyJson,
  })
  .meta({ id: 'SpendLog' });

export type SpendLogRow = Tables['spend_log'] & {
  readonly alias: string | null;
  readonly team_name: string | null;
  /** True when the tenant is none of LiteLLM's organizations. */
  readonly own: boolean;
};

/** How a request ended that is no failure of anybody but the client. */
export const SUCCEEDED = ['completed', 'client-gone'];

/** `picked` selects the positions that are shown, in their order. */
export async function spendLogRows(
  db: Db,
  where: RawBuilder<boolean>,
  order: RawBuilder<unknown>,
  limit: number,
  offset = 0,
): Promise<readonly SpendLogRow[]> {
  const { rows } = await sql<SpendLogRow>`
    with picked as materialized (
      select s.* from spend_log s where ${where} order by ${order} limit ${limit} offset ${offset})
    select s.*, k.alias, n.name as team_name, coalesce(t.own and t.contact_version = 0, false) as own
    from picked s
    left join keys k on k.key_id = s.key_id
    left join project_names n on n.project_id = s.project_id
    left join tenants t on t.tenant_id = s.tenant_id
    order by ${order}`.execute(db);
  return rows;
}

export function spendRow(row: SpendLogRow): z.output<typeof SpendRow> {
  const started = Date.parse(row.admitted_at);
  const [input, output] = [Number(row.input_tokens), Number(row.output_tokens)];
  const status = SUCCEEDED.includes(row.outcome) ? ('success' as const) : ('failure' as const);
  const organization = row.own ? null : row.tenant_id;
  return {
    request_id: row.response_id ?? row.request_id,
    call_type: row.route,
    api_key: row.token_hash,
    spend: nanosToNumber(row.price_nanos),
    total_tokens: input + output,
    prompt_tokens: input,
    completion_tokens: output,
    startTime: row.admitted_at,
    endTime: new Date(started + Number(row.duration_ms)).toISOString(),
    completionStartTime:
      row.first_byte_ms === null ? null : new Date(started + Number(row.first_byte_ms)).toISOString(),
    model: row.model,
    model_id: row.deployment,
    model_group: row.model,
    custom_llm_provider: PROVIDER,
    api_base: '',
    user: row.user_id ?? '',
    end_user: row.end_user ?? '',
    team_id: row.project_id,
    organization_id: organization,
    request_tags: [...row.tags],
    cache_hit: 'False',
    cache_key: 'Cache OFF',
    requester_ip_address: null,
    session_id: null,
    agent_id: null,
    mcp_namespaced_tool_name: null,
    messages: {},
    response: {},
    proxy_server_request: {},
    request_duration_ms: Number(row.duration_ms),
    status,
    metadata: {
      litellm_call_id: row.request_id,
      user_api_key: row.token_hash,
      user_api_key_alias: row.alias,
      user_api_key_team_id: row.project_id,
      user_api_key_team_alias: row.team_name,
      user_api_key_org_id: organization,
      user_api_key_user_id: row.user_id,
      status,
      outcome: row.outcome,
      ...(status === 'failure' ? { error_information: { error_code: String(row.status) } } : {}),
      cost_breakdown: { total_cost: nanosToNumber(row.price_nanos) },
      currency: row.currency,
      usage: {
        prompt_tokens: input,
        completion_tokens: output,
        total_tokens: input + output,
        cached_tokens: Number(row.cached_input_tokens),
        reasoning_tokens: Number(row.reasoning_tokens),
      },
    },
  };
}

/** Every deployment speaks OpenAI's language; who runs it is not known. */
export const PROVIDER = 'openai';
