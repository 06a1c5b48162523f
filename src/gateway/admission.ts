import type { IncomingHttpHeaders } from 'node:http';
import type { Deployment } from '../domain/deployment.ts';
import { suspension } from '../domain/dunning.ts';
import { isRefusal, Refusal } from '../errors.ts';
import { type Call, checkTags, isRecord, isStorable } from './call.ts';
import type { Caller, EnforcedParam } from './caller.ts';
import { allowsModel } from './model-names.ts';
import type { Subject } from './named-subjects.ts';
import type { Offer } from './offers.ts';
import type { Router, Wish } from './router.ts';
import { allowsRoute } from './routes.ts';

/** Whether a caller may make a call at all, in LiteLLM's order of checks, and where it goes. */
export interface Admission extends Place {
  /** Public name of the model that is asked for, the key's aliases resolved. */
  readonly firstModel: string;
}

interface Place {
  /** The same, or a fallback when nobody who serves it may be asked. */
  readonly model: string;
  readonly deployment: Deployment;
  readonly offer: Offer;
  /** Place in the list of fallbacks from where on they were not tried. */
  readonly nextFallback: number;
}

/**
 * Throws Refusal(model_not_allowed | key_expired | project_blocked | tenant_suspended | contract_ended |
 * user_blocked | end_user_blocked | missing_parameter | route_not_allowed | unknown_model |
 * all_deployments_in_cooldown | provider_budget_exceeded).
 */
export function admit(
  caller: Caller,
  call: Call,
  subjects: readonly Subject[] | null,
  router: Router,
  nowMs: number,
  wish: Wish,
): Admission {
  if (subjects !== null) refuseBlocked(subjects);
  const model = modelOf(caller, call, subjects, router);
  if (!allowsModel(caller.keyModels, call.model) && !allowsModel(caller.keyModels, model)) {
    throw notAllowed('model_not_allowed', call.model);
  }
  if (nowMs >= caller.expiresAtMs) {
    throw new Refusal('key_expired', { expiredAt: caller.expiresAt }, { param: 'None' });
  }
  refuseStanding(caller);
  refuseModel(caller, call, subjects, model);
  if (caller.enforcedParams.length > 0) requireParams(caller.enforcedParams, call);
  if (!allowsRoute(caller.allowedRoutes, call.route)) {
    const detail = { allowed: caller.allowedRoutes.join(', '), route: `/${call.route.name}` };
    throw new Refusal('route_not_allowed', detail);
  }
  return { firstModel: model, ...placeFor(caller, call, subjects, model, router, wish) };
}

function placeFor(
  caller: Caller,
  call: Call,
  subjects: readonly Subject[] | null,
  model: string,
  router: Router,
  wish: Wish,
): Place {
  let deployment: Deployment | null;
  try {
    deployment = router.pick(model, wish);
  } catch (resting) {
    const isOut =
      isRefusal(resting, 'all_deployments_in_cooldown') || isRefusal(resting, 'provider_budget_exceeded');
    const place = isOut ? fallbackFor(caller, subjects, model, router, wish) : null;
    if (place === null) throw resting;
    return place;
  }
  if (deployment === null) throw new Refusal('unknown_model', { model: call.model }, { param: 'model' });
  const offer = caller.tariff.offer(model, deployment);
  if (offer === null) throw notAllowed('model_not_priced', call.model);
  return { model, deployment, offer, nextFallback: 0 };
}

function fallbackFor(
  caller: Caller,
  subjects: readonly Subject[] | null,
  first: string,
  router: Router,
  wish: Wish,
): Place | null {
  for (const [index, model] of router.fallbacks(first).entries()) {
    if (!allowsInstead(caller, subjects, model)) continue;
    const deployment = pickQuietly(router, model, wish);
    const offer = deployment === null ? null : caller.tariff.offer(model, deployment);
    if (deployment !== null && offer !== null) return { model, deployment, offer, nextFallback: index + 1 };
  }
  return null;
}

/** Null as well when none of several may be asked. */
export function pickQuietly(router: Router, model: string, wish: Wish): Deployment | null {
  try {
    return router.pick(model, wish);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return null;
  }
}

/**
 * The model that serves: an alias of the key counts more than one of the project. An end user's
 * default model serves what nothing else does; it serves everything of an end user who may only be
 * served in one region, because no deployment can be shown to be there.
 */
function modelOf(caller: Caller, call: Call, subjects: readonly Subject[] | null, router: Router): string {
  const { model: asked } = call;
  let model = asked;
  if (Object.hasOwn(caller.aliases, asked)) model = caller.aliases[asked]!;
  else if (Object.hasOwn(caller.projectAliases, asked)) model = caller.projectAliases[asked]!;
  model = router.resolve(model);
  const endUser = subjects?.find(({ defaultModel }) => defaultModel !== null);
  if (endUser === undefined) return model;
  return endUser.always || !router.serves(model) ? endUser.defaultModel! : model;
}

function refuseBlocked(subjects: readonly Subject[]): void {
  const blocked = subjects.find((subject) => subject.blocked);
  if (blocked !== undefined)
    throw new Refusal('end_user_blocked', { endUser: blocked.id }, { param: 'user' });
}

function refuseStanding(caller: Caller): void {
  if (caller.projectBlocked)
    throw new Refusal('project_blocked', { projectId: caller.projectId }, { param: 'None' });
  if (caller.tenantSuspended) throw suspension(caller.suspendedReason);
  if (caller.contractEnded) throw new Refusal('contract_ended');
  if (caller.userBlocked) throw new Refusal('user_blocked', { userId: caller.userId }, { param: 'None' });
}

/** What a project calls by an alias of its own is the name that its list is about. */
function refuseModel(caller: Caller, call: Call, subjects: readonly Subject[] | null, model: string): void {
  const named = Object.hasOwn(caller.projectAliases, call.model) ? call.model : model;
  if (!allowsModel(caller.projectModels, named) && !allowsModel(caller.projectModels, model)) {
    throw notAllowed('project_model_not_allowed', call.model);
  }
  if (!allowsModel(caller.userModels, model)) throw notAllowed('user_model_not_allowed', call.model);
  for (const models of caller.tenantModels) {
    if (!allowsModel(models, model)) throw notAllowed('tenant_model_not_allowed', call.model);
  }
  for (const { kind, models } of subjects ?? NO_SUBJECTS) {
    if (allowsModel(models, model)) continue;
    throw notAllowed(kind === 'tag' ? 'tag_model_not_allowed' : 'end_user_model_not_allowed', call.model);
  }
}

const NO_SUBJECTS: readonly Subject[] = [];

/** Whether every list allows a model that is to take the place of the one that was asked for. */
export function allowsInstead(caller: Caller, subjects: readonly Subject[] | null, model: string): boolean {
  const lists = [caller.keyModels, caller.projectModels, caller.userModels, ...caller.tenantModels];
  return [...lists, ...(subjects ?? NO_SUBJECTS).map(({ models }) => models)].every((list) =>
    allowsModel(list, model),
  );
}

/** Throws Refusal(missing_parameter). */
function requireParams(params: readonly EnforcedParam[], { json }: Call): void {
  for (const { name, path } of params) {
    let value: unknown = json;
    for (const member of path) {
      value = isRecord(value) && Object.hasOwn(value, member) ? value[member] : undefined;
    }
    if (value === undefined || value === null) {
      throw new Refusal('missing_parameter', { param: name }, { param: path[0]! });
    }
  }
}

type ModelRefusal =
  | 'model_not_allowed'
  | 'project_model_not_allowed'
  | 'user_model_not_allowed'
  | 'tenant_model_not_allowed'
  | 'end_user_model_not_allowed'
  | 'tag_model_not_allowed'
  | 'model_not_priced';

function notAllowed(code: ModelRefusal, model: string): Refusal {
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
