import type { z } from 'zod';
import { expiryAfter } from '../domain/duration.ts';
import { canonicalJson } from '../domain/json.ts';
import { withKeyRules } from '../domain/key-rules.ts';
import { key, type KeyCommand, type KeySettings, type KeyState } from '../domain/key.ts';
import type { Limits } from '../domain/limits.ts';
import { Refusal } from '../errors.ts';
import { derivedId, hashSecret, isPlausible, maskSecret } from '../secrets.ts';
import { load, type Outcome, transact } from '../transact.ts';
import type { Caller } from './caller.ts';
import { sharedBudgets } from './budget-view.ts';
import { type Command, hasRun, metaFor, partOf } from './command.ts';
import type { HttpDeps } from './deps.ts';
import { drawSecret, type KeyIssuer, liveKey } from './issue-key.ts';
import { changedKeyByPolicy, newKeyByPolicy } from './key-policy.ts';
import type { KeyFields, KeyWithSecret, RegenerateBody } from './key-fields.ts';
import { requireDuration } from './durations.ts';
import { withinGuarantees } from './key-guarantee.ts';
import { changedKey, type KeyInput, newKey } from './key-input.ts';
import {
  fieldsForMaker,
  filledFromMaker,
  requireMove,
  requireNotWider,
  requireRightTo,
} from './key-rights.ts';
import { asLeftBehind, keyWithSecret } from './key-record.ts';
import { columnFor, findKey, findKeyByAlias, placeOfKey, placeOfNewKey, viewOfKey } from './key-target.ts';
import { type KeyView, keyViews } from './read.ts';
import { isAdmin } from './permissions.ts';
import { amountOf } from './limit-fields.ts';
import { nanosOf } from './schemas.ts';
import { settle } from './settle.ts';
import { withSharedBudget } from './shared-budget.ts';

/** The commands that the routes of keys.ts carry out, from the fields of the request to the log. */

export interface Answered {
  readonly answer: z.output<typeof KeyWithSecret>;
  readonly position: bigint;
}

/** Who makes or changes a key, and through which route. */
export interface Maker {
  readonly caller: Caller | null;
  /** As LiteLLM's member permissions name it, such as `/key/generate`. */
  readonly route: string;
}

/** Generates the key that the fields describe; `secret` is the caller's own, null draws one. */
export async function generateKey(
  deps: HttpDeps,
  issuer: KeyIssuer,
  command: Command,
  asked: KeyFields,
  secret: string | null,
  maker: Maker,
): Promise<Answered> {
  await settle(deps, deps.appendedPosition());
  const chosen = secret === '' ? null : secret;
  if (chosen !== null) requireGoodSecret(chosen, deps);
  const { caller } = maker;
  const allowed = await newKeyByPolicy(deps, asked, { ...maker, at: command.at });
  const placed = await fieldsForMaker(deps, caller, allowed, maker.route);
  const fields = await withSharedBudget(deps.db, await filledFromMaker(deps.db, caller, placed));
  const { owner, context } = await placeOfNewKey(deps, fields, command.at);
  const made = newKey(fields, context);
  const { limits } = made;
  const rules = context.terms?.keyRules;
  const settings = withKeyRules(rules, made.settings, command.at);
  await requireNotWider(deps.db, caller, { limits, settings }, { limits: true, expiry: true, routes: true });
  const blocked = fields.blocked === true;
  const wanted = {
    command,
    owner,
    name: 'key',
    secret: chosen,
    limits,
    settings,
    blocked,
    keysMax: rules?.keysMax ?? null,
  };
  requireAdminFor(caller, fields);
  const input = { limits, settings };
  const own = derivedId('key', command.commandId, 'key');
  const issued = await withinGuarantees(deps, owner.tenantId, own, input, () => issuer.generate(wanted));
  const view = await viewOfKey(deps.db, issued.state.keyId);
  const untouched = {
    ...view,
    spend: 0n,
    last_active: null,
    updated_at: view.created_at,
    updated_by: view.created_by,
  };
  const first = asLeftBehind({ ...untouched, last_rotated_at: null }, issued.state);
  const shared = (await sharedBudgets(deps.db, [first])).get(first.budget_id);
  const spent = await setSpend(deps, command, view, fields, 0n);
  const shown = spent === null ? first : { ...first, spend: nanosOf(fields.spend!) };
  const position = spent === null ? issued.position : spent;
  return { answer: keyWithSecret(shown, issued.secret, deps.now(), shared), position };
}

/** Gives a key a new secret and changes the named fields with it. */
export async function rotateKey(
  deps: HttpDeps,
  issuer: KeyIssuer,
  command: Command,
  name: string | null | undefined,
  body: z.output<typeof RegenerateBody>,
  caller: Caller | null,
): Promise<Answered> {
  const { key: _, new_key: newKey, grace_period: grace, ...asked } = body;
  const fields = changedKeyByPolicy(deps, asked, command.at);
  if (!name) throw new Refusal('bad_request', { problem: 'No key passed in.' }, { param: 'key' });
  await settle(deps, deps.appendedPosition());
  if (newKey) requireGoodSecret(newKey, deps);
  const secret = newKey || drawSecret(deps, command, 'regenerate');
  const tokenHash = hashSecret(secret);
  const view = (await findKey(deps.db, name, command.at)) ?? (await findRotated(deps, command, tokenHash));
  if (view === undefined) throw new Refusal('key_not_found', {}, { param: 'key' });
  await requireRightTo(deps.db, caller, view, '/key/regenerate');
  if (command.repeatable && !newKey) await requireFirstUse(deps, tokenHash, view);
  const graceEndsAt = graceEndOf(grace, command.at);
  const named = { tokenHash, keyName: maskSecret(secret), graceEndsAt };
  const claim = { keyId: view.key_id, alias: fields.key_alias || null, tokenHash };
  const outcome = await issuer.claim(claim, async () => {
    const { limits, settings, after } = await changeOf(
      deps,
      command,
      view,
      withLifetime(view, fields, command.at),
      caller,
    );
    const outcome = await withinGuarantees(deps, view.tenant_id, view.key_id, after, () =>
      onKey(deps, command, view, { type: 'rotate', ...named, limits, settings }),
    );
    await settle(deps, outcome.position);
    return outcome;
  });
  const left = asLeftBehind(await viewOfKey(deps.db, view.key_id), liveKey(outcome.state));
  return { answer: keyWithSecret(left, secret, deps.now()), position: outcome.position };
}

/** A repeated request names the secret that it replaced itself; it is found by the one that it drew. */
async function findRotated(
  deps: HttpDeps,
  command: Command,
  tokenHash: string,
): Promise<KeyView | undefined> {
  if (!command.repeatable) return undefined;
  const view = await findKey(deps.db, tokenHash, command.at);
  return view !== undefined && (await hasRun(deps.store, `key-${view.key_id}`, command)) ? view : undefined;
}

/** The secret that a repeatable command draws can only be the one of another key if it was run on that. */
async function requireFirstUse(deps: HttpDeps, tokenHash: string, view: KeyView): Promise<void> {
  const holder = await findKey(deps.db, tokenHash, deps.now());
  if (holder !== undefined && holder.key_id !== view.key_id) throw new Refusal('idempotency_key_reused');
}

/** An expired key gets its lifetime anew, or the new secret would be refused like the old one. */
function withLifetime(view: KeyView, fields: KeyFields, at: string): KeyFields {
  const named = fields.duration !== undefined || fields.expires !== undefined;
  if (named || view.expires_at === null || view.expires_at > at) return fields;
  const { duration } = view.options as { readonly duration?: unknown };
  return typeof duration === 'string' ? { ...fields, duration } : fields;
}

function graceEndOf(grace: string | null | undefined, at: string): string | null {
  if (!grace || /^0+\w*$/.test(grace)) return null;
  requireDuration('grace_period', grace);
  return expiryAfter(at, grace);
}

export async function changeKey(
  deps: HttpDeps,
  issuer: KeyIssuer,
  command: Command,
  view: KeyView,
  fields: KeyFields,
  caller: Caller | null,
): Promise<Outcome<KeyState>> {
  await requireRightTo(deps.db, caller, view, '/key/update');
  const claim = { keyId: view.key_id, alias: fields.key_alias || null, tokenHash: null };
  return issuer.claim(claim, async () => {
    const { after, ...changes } = await changeOf(deps, command, view, fields, caller);
    requireAdminFor(caller, fields);
    const blocked = fields.blocked == null ? {} : { blocked: fields.blocked };
    const outcome = await withinGuarantees(deps, view.tenant_id, view.key_id, after, () =>
      onKey(deps, command, view, { type: 'change', ...changes, ...blocked }),
    );
    const spent = await setSpend(deps, command, view, fields, view.spend);
    const position = spent ?? outcome.position;
    await settle(deps, position);
    return { ...outcome, position };
  });
}

/** Only what differs, so that two changes of different fields at the same time both hold. */
async function changeOf(
  deps: HttpDeps,
  { at }: Command,
  view: KeyView,
  asked: KeyFields,
  caller: Caller | null,
): Promise<{
  readonly limits: Partial<Limits>;
  readonly settings: Partial<KeySettings>;
  /** The key as it is to be. */
  readonly after: KeyInput;
}> {
  const fields = await withSharedBudget(deps.db, asked);
  const { limits, settings } = liveKey(await load(deps.store, key, `key-${view.key_id}`));
  await requireMove(deps, caller, view, fields);
  const { context } = await placeOfKey(deps, view, fields, at);
  const changed = changedKey(fields, { limits, settings }, context);
  // What is not asked for is not judged again.
  const judged = changed.settings.expiresAt !== settings.expiresAt || fields.rotation_interval !== undefined;
  const rules = judged ? context.terms?.keyRules : undefined;
  const after = { ...changed, settings: withKeyRules(rules, changed.settings, at) };
  const changes = {
    limits: differences(limits, after.limits),
    settings: differences(settings, after.settings),
  };
  await requireNotWider(deps.db, caller, after, {
    limits: Object.keys(changes.limits).length > 0,
    expiry: 'expiresAt' in changes.settings,
    routes: 'allowedRoutes' in changes.settings,
  });
  return { ...changes, after };
}

/** Only an administrator says what a key has spent. */
function requireAdminFor(caller: Caller | null, { spend }: KeyFields): void {
  if (spend == null || caller === null || isAdmin(caller)) return;
  throw new Refusal('not_yours', { problem: 'Only an administrator can set spend.' }, { param: 'spend' });
}

/** The position when there was something to correct, else null. */
async function setSpend(
  deps: HttpDeps,
  command: Command,
  view: KeyView,
  { spend }: KeyFields,
  fromNanos: bigint,
): Promise<bigint | null> {
  if (spend == null) return null;
  const toNanos = amountOf('spend', spend);
  if (toNanos === fromNanos) return null;
  const adjust = { type: 'adjust-spend', fromNanos, toNanos } as const;
  return (await onKey(deps, partOf(command, 'spend'), view, adjust)).position;
}

function differences<T extends object>(before: T, after: T): Partial<T> {
  const names = Object.keys(after) as (keyof T)[];
  const changed = names.filter(
    (name) => before[name] === undefined || canonicalJson(before[name]) !== canonicalJson(after[name]),
  );
  return Object.fromEntries(changed.map((name) => [name, after[name]])) as Partial<T>;
}

export function onKey(
  deps: HttpDeps,
  command: Command,
  view: KeyView,
  change: KeyCommand,
): Promise<Outcome<KeyState>> {
  const meta = metaFor(command, { agencyId: view.agency_id, tenantId: view.tenant_id });
  return transact(deps.store, key, `key-${view.key_id}`, change, meta, { input: command.input });
}

/** The live key of this name, or the one that this very request deleted before. */
export async function findForDeletion(
  deps: HttpDeps,
  command: Command,
  name: string,
  byAlias: boolean,
): Promise<KeyView | undefined> {
  const live = byAlias ? await findKeyByAlias(deps.db, name) : await findKey(deps.db, name, command.at);
  if (live !== undefined || !command.repeatable) return live;
  const column = byAlias ? (['alias', name] as const) : columnFor(name);
  if (column === null) return undefined;
  const gone = await keyViews(deps.db)
    .where(`keys.${column[0]}`, '=', column[1])
    .where('keys.status', '=', 'deleted')
    .execute();
  for (const view of gone) if (await hasRun(deps.store, `key-${view.key_id}`, command)) return view;
  return undefined;
}

/** What the caller may choose as a secret. The master key is nobody's virtual key. */
function requireGoodSecret(secret: string, { masterKey }: HttpDeps): void {
  if (!secret.startsWith('sk-')) throw new Refusal('secret_prefix', {}, { param: 'key' });
  const strong = /^sk-[A-Za-z0-9_-]{13,197}$/.test(secret) && isPlausible(secret) && secret !== masterKey;
  if (!strong) throw new Refusal('weak_secret', {}, { param: 'key' });
}
