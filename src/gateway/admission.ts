import type { IncomingHttpHeaders } from 'node:http';
import type { Deployment } from '../domain/deployment.ts';
import { Refusal } from '../errors.ts';
import { type Call, checkTags, isStorable } from './call.ts';
import type { Caller } from './key-table.ts';
import { allowsModel } from './model-names.ts';
import type { Offer } from './offers.ts';
import type { Router } from './router.ts';
import { allowsRoute } from './routes.ts';

/** Whether a caller may make a call at all, in LiteLLM's order of checks, and where it goes. */
export interface Admission {
  /** Public name of the model, the key's aliases resolved. */
  readonly model: string;
  readonly deployment: Deployment;
  readonly offer: Offer;
}

/**
 * Throws Refusal(model_not_allowed | key_expired | project_blocked | tenant_suspended |
 * route_not_allowed | unknown_model).
 */
export function admit(caller: Caller, call: Call, router: Router, nowMs: number): Admission {
  const own = Object.hasOwn(caller.aliases, call.model) ? caller.aliases[call.model]! : call.model;
  const model = router.resolve(own);
  if (!allowsModel(caller.keyModels, call.model) && !allowsModel(caller.keyModels, model)) {
    throw notAllowed('model_not_allowed', call.model);
  }
  if (nowMs >= caller.expiresAtMs) {
    throw new Refusal('key_expired', { expiredAt: caller.expiresAt }, { param: 'None' });
  }
  if (caller.projectBlocked)
    throw new Refusal('project_blocked', { projectId: caller.projectId }, { param: 'None' });
  if (caller.tenantSuspended) throw new Refusal('tenant_suspended');
  if (!allowsModel(caller.projectModels, model)) throw notAllowed('project_model_not_allowed', call.model);
  if (!allowsModel(caller.tenantModels, model)) throw notAllowed('tenant_model_not_allowed', call.model);
  if (!allowsRoute(caller.allowedRoutes, call.route)) {
    const detail = { allowed: caller.allowedRoutes.join(', '), route: `/${call.route.name}` };
    throw new Refusal('route_not_allowed', detail);
  }
  const deployment = router.pick(model);
  if (deployment === null) throw new Refusal('unknown_model', { model: call.model }, { param: 'model' });
  const offer = caller.tariff.offer(model, deployment);
  if (offer === null) throw notAllowed('model_not_priced', call.model);
  return { model, deployment, offer };
}

function notAllowed(
  code: 'model_not_allowed' | 'project_model_not_allowed' | 'tenant_model_not_allowed' | 'model_not_priced',
  model: string,
): Refusal {
  return new Refusal(code, { model }, { param: 'model' });
}

/** Tags of the key, of the body and of the header, each once. */
export function tagsOf(caller: Caller, call: Call, headers: IncomingHttpHeaders): readonly string[] {
  const sent = headers['x-litellm-tags'];
  if (typeof sent !== 'string' && call.tags.length === 0) return caller.tags;
  const listed = typeof sent === 'string' ? sent.split(',').map((tag) => tag.trim()) : [];
  return checkTags([...caller.tags, ...call.tags, ...listed.filter((tag) => tag !== '')]);
}

const END_USER_HEADERS = ['x-litellm-customer-id', 'x-litellm-end-user-id'] as const;
const END_USER_LENGTH_MAX = 256;

/** Whom the customer's application names: in the body, else in a header. */
export function endUserOf(call: Call, headers: IncomingHttpHeaders): string | null {
  if (call.endUser !== null) return call.endUser;
  for (const name of END_USER_HEADERS) {
    const value = headers[name];
    if (typeof value === 'string' && value.length <= END_USER_LENGTH_MAX && isStorable(value)) return value;
  }
  return null;
}

/** The id that the client gave its call, when it can be repeated in a header. */
export function callIdOf(headers: IncomingHttpHeaders): string | null {
  const sent = headers['x-litellm-call-id'];
  return typeof sent === 'string' && /^[\x21-\x7e]{1,128}$/.test(sent) ? sent : null;
}
