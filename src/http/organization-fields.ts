import { z } from 'zod';
import { limitFields, modelsField } from './limit-fields.ts';
import { ProjectId } from './open-project.ts';
import { AnyJson, optional, ShortText } from './schemas.ts';

/** The fields of an organization in a request, as LiteLLM names them, and `plan`. */
const fields = {
  ...limitFields,
  ...modelsField,
  metadata: optional(AnyJson),
  object_permission: optional(AnyJson),
  budget_id: optional(ShortText),
};
export const NewOrganizationBody = z.object({
  organization_id: optional(ProjectId),
  organization_alias: z.string().trim().min(1).max(200),
  plan: optional(z.string().max(100)).describe('The contract to sign; without one it is never invoiced'),
  ...fields,
});
export const UpdateOrganizationBody = z.object({
  organization_id: z.string().min(1).max(100),
  organization_alias: optional(z.string().trim().min(1).max(200)),
  ...fields,
});
