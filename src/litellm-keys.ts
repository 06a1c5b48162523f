import { dirname, resolve } from 'node:path';
import { z } from 'zod';

/** The parts of a `litellm_config.yaml` that say what keys may be made, and the modules that have a say in it. */
const Amount = z.union([z.number().nonnegative(), z.string().regex(/^\d{1,12}(\.\d{1,9})?$/)]);
const Count = z.number().int().nonnegative();
const Names = z.array(z.string().min(1));
/** LiteLLM names a function of a Python module here; there is none to call. */
const ModulePath = z
  .string()
  .regex(/\.[cm]?[jt]s$/, 'expected the path of a .ts or .js module, relative to this file');

export const litellmKeys = {
  default_key_generate_params: z.record(z.string(), z.unknown()).nullish(),
  upperbound_key_generate_params: z
    .strictObject({
      max_budget: Amount.optional(),
      budget_duration: z.string().optional(),
      duration: z.string().optional(),
      max_parallel_requests: Count.optional(),
      tpm_limit: Count.optional(),
      rpm_limit: Count.optional(),
    })
    .nullish(),
  key_generation_settings: z
    .strictObject({
      team_key_generation: z
        .strictObject({ allowed_team_member_roles: Names.nullish(), required_params: Names.nullish() })
        .nullish(),
      personal_key_generation: z
        .strictObject({ allowed_user_roles: Names.nullish(), required_params: Names.nullish() })
        .nullish(),
    })
    .nullish(),
};
export const generalKeys = { custom_key_generate: ModulePath.nullish(), custom_auth: ModulePath.nullish() };

export interface KeyRules {
  /** Who, by role; null: everybody who may make keys at all. */
  readonly roles: readonly string[] | null;
  /** Fields that have to be there. */
  readonly required: readonly string[];
}

export interface KeyPolicySettings {
  /** For fields that a request leaves out. */
  readonly defaults: Readonly<Record<string, unknown>>;
  /** The most that may be asked for, and what is given where nothing is. */
  readonly upperBounds: {
    readonly max_budget?: number | string | undefined;
    readonly budget_duration?: string | undefined;
    readonly duration?: string | undefined;
    readonly max_parallel_requests?: number | undefined;
    readonly tpm_limit?: number | undefined;
    readonly rpm_limit?: number | undefined;
  };
  /** Of keys in a team, and of those without one; null: no rules. */
  readonly team: KeyRules | null;
  readonly personal: KeyRules | null;
  /** Absolute paths of modules; see custom-modules.ts. */
  readonly customGenerate: string | null;
  readonly customAuth: string | null;
}

export const NO_KEY_POLICY: KeyPolicySettings = {
  defaults: {},
  upperBounds: {},
  team: null,
  personal: null,
  customGenerate: null,
  customAuth: null,
};

const Settings = z.looseObject(litellmKeys);
const General = z.looseObject(generalKeys);

export function keyPolicyOf(
  settings: z.infer<typeof Settings>,
  general: z.infer<typeof General>,
  fileName: string,
): KeyPolicySettings {
  const { team_key_generation: team, personal_key_generation: personal } =
    settings.key_generation_settings ?? {};
  const pathOf = (path: string | null | undefined) =>
    path == null ? null : resolve(dirname(fileName), path);
  return {
    defaults: settings.default_key_generate_params ?? {},
    upperBounds: settings.upperbound_key_generate_params ?? {},
    team:
      team == null
        ? null
        : { roles: team.allowed_team_member_roles ?? null, required: team.required_params ?? [] },
    personal:
      personal == null
        ? null
        : { roles: personal.allowed_user_roles ?? null, required: personal.required_params ?? [] },
    customGenerate: pathOf(general.custom_key_generate),
    customAuth: pathOf(general.custom_auth),
  };
}
