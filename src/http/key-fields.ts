import { z } from 'zod';
import { RATE_KINDS } from '../domain/extra-limits.ts';
import { Amount, AnyJson, AnyValue, EnvironmentName, optional, ShortText, Texts, Whole } from './schemas.ts';

/**
 * The fields of a key in a request, as LiteLLM names them. Fields that nobody knows are ignored, as
 * its clients expect.
 */

const Duration = z.string().max(50).describe('Such as 30s, 30min, 12h, 7d, 1mo');
const Alias = z.string().max(255);
const Secret = z.string().max(500);

/** Kept as they are and echoed. What takes effect from among them is read by name elsewhere. */
const optionFields = {
  soft_budget: optional(Amount).describe('Reaching it only warns'),
  key_type: optional(z.enum(['default', 'llm_api', 'management', 'read_only'])),
  auto_rotate: optional(z.boolean()),
  rotation_interval: optional(Duration),
  tags: optional(Texts),
  permissions: optional(AnyJson),
  guardrails: optional(Texts),
  policies: optional(Texts),
  prompts: optional(Texts),
  enforced_params: optional(Texts),
  allowed_cache_controls: optional(Texts),
  allowed_passthrough_routes: optional(Texts),
  allowed_vector_store_indexes: optional(z.array(AnyValue)),
  config: optional(AnyJson),
  router_settings: optional(AnyJson),
  object_permission: optional(AnyJson),
  secret_manager_settings: optional(AnyJson),
  access_group_ids: optional(Texts),
  model_max_budget: optional(AnyJson),
  model_rpm_limit: optional(z.record(z.string(), Whole)),
  model_tpm_limit: optional(z.record(z.string(), Whole)),
  rpm_limit_type: optional(z.enum(RATE_KINDS)),
  tpm_limit_type: optional(z.enum(RATE_KINDS)),
  tpd_limit: optional(Whole),
  budget_id: optional(ShortText),
  budget_limits: optional(z.array(AnyJson)),
  budget_fallbacks: optional(AnyValue),
  end_user_budget_id: optional(ShortText),
  throttle_on_budget_exceeded: optional(z.boolean()),
  enable_prompt_caching: optional(z.boolean()),
  disable_global_guardrails: optional(z.boolean()),
  default_estimated_output_tokens: optional(Whole),
  default_estimated_output_tokens_per_model: optional(AnyJson),
  denied_passthrough_routes: optional(Texts),
  agent_id: optional(ShortText),
  send_invite_email: optional(z.boolean()),
  temp_budget_increase: optional(Amount),
  temp_budget_expiry: optional(ShortText),
};

export const OPTION_NAMES = Object.keys(optionFields) as readonly (keyof typeof optionFields)[];

const keyFields = {
  key_alias: optional(Alias).describe('Unique among all live keys'),
  duration: optional(Duration).describe('Lifetime from now; "-1" on update: for ever'),
  expires: optional(z.string().max(50)).describe(
    'A date, to its end in the zone of the agency, or an instant',
  ),
  models: optional(Texts).describe('Empty: all that the contract allows'),
  aliases: optional(z.record(z.string(), ShortText)).describe('Requested model to the model that serves it'),
  max_budget: optional(Amount).describe('0: nothing may be spent'),
  budget_duration: optional(Duration).describe('Window of the budget, on the calendar'),
  rpm_limit: optional(Whole),
  tpm_limit: optional(Whole),
  max_parallel_requests: optional(Whole).describe('0: every call is refused'),
  metadata: optional(AnyJson),
  user_id: optional(ShortText),
  team_id: optional(ShortText).describe('Id of a project'),
  organization_id: optional(ShortText).describe('Id of the tenant; follows from the project'),
  environment: optional(EnvironmentName),
  allowed_routes: optional(Texts),
  blocked: optional(z.boolean()),
  spend: optional(Amount).describe('Administrators only: what the key is shown with from now on'),
  ...optionFields,
};

export const GenerateBody = z.object({ ...keyFields, key: optional(Secret).describe('Your own secret') });

export const UpdateBody = z.object({
  ...keyFields,
  key: z
    .string()
    .min(1)
    .max(500)
    .optional()
    .describe('Secret, token hash or key id; else key_alias names the key'),
});

export const RegenerateBody = z.object({
  ...keyFields,
  key: optional(z.string().max(500)).describe('Secret, token hash or key id, when it is not in the path'),
  new_key: optional(Secret).describe('Your own new secret'),
  grace_period: optional(Duration).describe('How long the old secret still works; not at all by default'),
});

/** The fields that describe a key, without those that name one. */
export type KeyFields = Omit<z.output<typeof GenerateBody>, 'key'>;

const Nullable = z.union([z.string(), z.null()]);
const Num = z.number().nullable();

/** A key as it is shown. */
const recordFields = {
  key_id: z.string().describe('Never changes; shown in histories and on invoices'),
  key_name: z.string(),
  key_alias: Nullable,
  soft_budget_cooldown: z.boolean(),
  spend: z.number().describe('All that was ever recorded for this key'),
  expires: Nullable,
  models: z.array(z.string()),
  aliases: z.record(z.string(), z.string()),
  user_id: Nullable,
  team_id: Nullable,
  organization_id: Nullable,
  environment: Nullable,
  max_parallel_requests: Num,
  metadata: AnyJson,
  blocked: z.boolean(),
  tpm_limit: Num,
  rpm_limit: Num,
  max_budget: Num,
  budget_duration: Nullable,
  budget_reset_at: Nullable,
  allowed_routes: z.array(z.string()),
  model_spend: AnyJson,
  object_permission_id: z.null(),
  project_id: z.null(),
  litellm_budget_table: AnyJson.nullable().describe('The budget that the key carries'),
  created_at: z.string(),
  created_by: z.string(),
  updated_at: z.string(),
  updated_by: z.string(),
  last_active: Nullable,
  rotation_count: z.number(),
  last_rotation_at: Nullable,
  key_rotation_at: Nullable,
  status: z.enum(['active', 'blocked', 'deleted']),
  deleted_at: Nullable.optional(),
  deleted_by: Nullable.optional(),
  soft_budget: Num,
  auto_rotate: z.boolean(),
  rotation_interval: Nullable,
  tags: z.array(z.string()),
  permissions: AnyJson,
  config: AnyJson,
  model_max_budget: AnyJson,
};

export const KeyRecord = z
  .looseObject(recordFields)
  .meta({ id: 'Key', description: 'A virtual key, without its secret' });

export const KeyWithSecret = z
  .looseObject({
    ...recordFields,
    key: z.string().describe('The secret. It is shown here and never again.'),
    token: z.string().describe('SHA-256 of the secret'),
    token_id: z.string(),
    duration: optional(z.string()),
  })
  .meta({ id: 'KeyWithSecret', description: 'A virtual key with its secret' });
