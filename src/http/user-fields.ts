import { z } from 'zod';
import type { Json, JsonObject } from '../domain/json.ts';
import { USER_ROLES } from '../domain/user.ts';
import { GenerateBody } from './key-fields.ts';
import { limitFields, modelsField } from './limit-fields.ts';
import { Amount, AnyJson, optional, ShortText } from './schemas.ts';

/** The fields of a user in a request, as LiteLLM names them. */
const Email = z.email().max(254);
const UserId = z
  .string()
  .regex(/^[\x21-\x7e]{1,100}$/, 'expected 1 to 100 printable characters without blanks');

/** What is known about the person: kept beside the log. */
const contactFields = {
  user_email: optional(Email),
  user_alias: optional(z.string().max(200)),
  sso_user_id: optional(ShortText),
  metadata: optional(AnyJson).describe('Kept beside the log, like the address'),
};

/** Kept and echoed. */
const optionFields = {
  allowed_cache_controls: optional(z.array(z.string())),
  blocked: optional(z.boolean()),
  guardrails: optional(z.array(z.string())),
  policies: optional(z.array(z.string())),
  object_permission: optional(AnyJson),
  aliases: optional(AnyJson),
  config: optional(AnyJson),
  permissions: optional(AnyJson),
};

const userFields = {
  ...limitFields,
  ...modelsField,
  ...contactFields,
  user_role: optional(z.enum(USER_ROLES)),
  budget_id: optional(ShortText),
  ...optionFields,
};

const Team = z.union([
  z.string().min(1).max(100),
  z.object({
    team_id: z.string().min(1).max(100),
    max_budget_in_team: optional(Amount),
    user_role: z.enum(['admin', 'user']).optional(),
  }),
]);

export const NewUserBody = z.object({
  ...userFields,
  user_id: optional(UserId).describe('Yours, else one is made'),
  teams: optional(z.array(Team).max(100)),
  organizations: optional(z.array(z.string().min(1).max(100)).max(100)),
  auto_create_key: z.boolean().nullish().describe('true by default'),
  send_invite_email: optional(z.boolean()),
  // Of the key that is made with the user.
  key_alias: GenerateBody.shape.key_alias,
  duration: GenerateBody.shape.duration,
  team_id: GenerateBody.shape.team_id,
  key_type: GenerateBody.shape.key_type,
});

export const UpdateUserBody = z.object({
  ...userFields,
  user_id: optional(UserId),
});
export type UserFields = z.output<typeof UpdateUserBody>;

/** What users may change of themselves. */
export const OWN_FIELDS: ReadonlySet<string> = new Set(['user_id', 'user_email', 'user_alias', 'password']);

const CONTACT_MEMBERS = {
  user_email: 'email',
  user_alias: 'alias',
  sso_user_id: 'sso_id',
  metadata: 'metadata',
} as const;

/** The contact record after the named fields were changed; null clears. */
export function contactFrom(fields: UserFields, now: JsonObject): JsonObject {
  const contact: Record<string, Json> = { ...now };
  for (const [field, member] of Object.entries(CONTACT_MEMBERS)) {
    const value = fields[field as keyof typeof CONTACT_MEMBERS];
    if (value === null || value === '') delete contact[member];
    else if (value !== undefined) contact[member] = value;
  }
  return contact;
}

export function userOptionsFrom(fields: UserFields, now: JsonObject): JsonObject {
  const options: Record<string, Json> = { ...now };
  for (const name of Object.keys(optionFields) as (keyof typeof optionFields)[]) {
    const value = fields[name];
    if (value === null) delete options[name];
    else if (value !== undefined) options[name] = value;
  }
  return options;
}
