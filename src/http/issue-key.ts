import { type KeyState, key, type KeySettings } from '../domain/key.ts';
import { requireRoom } from '../domain/key-rules.ts';
import type { Limits } from '../domain/limits.ts';
import { isRefusal, Refusal } from '../errors.ts';
import { derivedId, derivedSecret, hashSecret, maskSecret, newSecret } from '../secrets.ts';
import { transact } from '../transact.ts';
import { type Command, metaFor } from './command.ts';
import type { HttpDeps } from './deps.ts';
import { keyedLock } from './keyed-lock.ts';
import { settle } from './settle.ts';

export type LiveKey = Exclude<KeyState, { status: 'absent' | 'deleted' }>;

export interface NewKey {
  readonly command: Command;
  readonly owner: { readonly agencyId: string; readonly tenantId: string };
  /** Tells the keys of one command apart. */
  readonly name: string;
  /** A secret that the caller chose; null draws one. */
  readonly secret: string | null;
  readonly limits: Limits;
  readonly settings: KeySettings;
  readonly blocked: boolean;
  /** Most keys of the tenant; null or left out: no rule. */
  readonly keysMax?: number | null;
}

export interface IssuedKey {
  readonly secret: string;
  /** As it was when the command had been carried out. */
  readonly state: LiveKey;
  readonly position: bigint;
}

/** What is claimed while a key takes an alias or a secret. Null claims nothing. */
export interface Claim {
  readonly keyId: string;
  readonly alias: string | null;
  readonly tokenHash: string | null;
}

export interface KeyIssuer {
  /** Generates a key. Throws Refusal(alias_taken | key_already_exists | idempotency_key_reused). */
  generate(wanted: NewKey): Promise<IssuedKey>;
  /** The same with the first free alias of `shop-production`, `shop-production-2` … */
  generateWithFreshAlias(wanted: NewKey, alias: string): Promise<IssuedKey>;
  /** Runs the task while nobody else can take the alias or the secret. Throws like `generate`. */
  claim<T>(claim: Claim, task: () => Promise<T>): Promise<T>;
}

const FRESH_ALIAS_ATTEMPTS_MAX = 100;

/** One per process: its locks are what makes an alias unique among simultaneous requests. */
export function keyIssuer(deps: HttpDeps): KeyIssuer {
  const lock = keyedLock('key');

  async function claim<T>(claim: Claim, task: () => Promise<T>): Promise<T> {
    const { keyId, alias, tokenHash } = claim;
    const checked = async (): Promise<T> => {
      await settle(deps, deps.appendedPosition());
      if (alias !== null && (await hasAlias(deps, alias, keyId))) {
        throw new Refusal('alias_taken', { alias }, { param: 'key_alias' });
      }
      if (tokenHash !== null && (await hasSecret(deps, tokenHash, keyId))) {
        throw new Refusal('key_already_exists', {}, { param: 'key' });
      }
      return task();
    };
    if (alias === null && tokenHash === null) return task();
    const inner = tokenHash === null ? checked : () => lock(deps, `secret ${tokenHash}`, checked);
    return alias === null ? inner() : lock(deps, `alias ${alias}`, inner);
  }

  async function generate(wanted: NewKey): Promise<IssuedKey> {
    const { command, owner, name, limits, settings, blocked, keysMax = null } = wanted;
    const keyId = derivedId('key', command.commandId, name);
    const secret = wanted.secret ?? drawSecret(deps, command, name);
    const tokenHash = hashSecret(secret);
    const data = {
      keyId,
      tenantId: owner.tenantId,
      tokenHash,
      keyName: maskSecret(secret),
      limits,
      settings,
    };
    const chosenHash = wanted.secret === null ? null : tokenHash;
    const task = async (): Promise<IssuedKey> => {
      if (keysMax !== null)
        requireRoom('keys_max', keysMax, (await otherKeys(deps, owner.tenantId, keyId)) + 1);
      const outcome = await transact(
        deps.store,
        key,
        `key-${keyId}`,
        { type: 'generate', key: data, blocked },
        metaFor(command, owner),
        { input: command.input },
      );
      // The next one who wants the alias looks into the read model.
      await settle(deps, outcome.position);
      return { secret, state: liveKey(outcome.state), position: outcome.position };
    };
    const taking = { keyId, alias: settings.alias, tokenHash: chosenHash };
    if (keysMax === null) return claim(taking, task);
    return lock(deps, `keys of ${owner.tenantId}`, async () => {
      await settle(deps, deps.appendedPosition());
      return claim(taking, task);
    });
  }

  async function generateWithFreshAlias(wanted: NewKey, base: string): Promise<IssuedKey> {
    const keyId = derivedId('key', wanted.command.commandId, wanted.name);
    for (let attempt = 1; ; attempt += 1) {
      const alias = await freshAlias(deps, base, keyId);
      try {
        return await generate({ ...wanted, settings: { ...wanted.settings, alias } });
      } catch (error) {
        // Somebody else was faster; look again.
        if (!isRefusal(error, 'alias_taken') || attempt === FRESH_ALIAS_ATTEMPTS_MAX) throw error;
      }
    }
  }

  return { generate, generateWithFreshAlias, claim };
}

/** Repeating the request must give the same secret, so there it follows from the command. */
export function drawSecret(deps: HttpDeps, command: Command, name: string): string {
  return command.repeatable ? derivedSecret(deps.serverSecret, command.commandId, name) : newSecret();
}

export function liveKey(state: KeyState): LiveKey {
  if (state.status === 'absent') throw new Refusal('key_not_found');
  if (state.status === 'deleted') throw new Refusal('key_deleted');
  return state;
}

async function hasAlias({ db }: HttpDeps, alias: string, exceptKeyId: string): Promise<boolean> {
  const row = await db
    .selectFrom('keys')
    .select('key_id')
    .where('alias', '=', alias)
    .where('status', '!=', 'deleted')
    .where('key_id', '!=', exceptKeyId)
    .limit(1)
    .executeTakeFirst();
  return row !== undefined;
}

async function otherKeys({ db }: HttpDeps, tenantId: string, exceptKeyId: string): Promise<number> {
  const { count } = await db
    .selectFrom('keys')
    .select((eb) => eb.fn.countAll<bigint>().as('count'))
    .where('tenant_id', '=', tenantId)
    .where('status', '!=', 'deleted')
    .where('key_id', '!=', exceptKeyId)
    .executeTakeFirstOrThrow();
  return Number(count);
}

/** What `like` finds beyond the numbered ones does no harm: names are compared exactly afterwards. */
async function freshAlias({ db }: HttpDeps, base: string, exceptKeyId: string): Promise<string> {
  const rows = await db
    .selectFrom('keys')
    .select('alias')
    .where((eb) => eb.or([eb('alias', '=', base), eb('alias', 'like', `${base}-%`)]))
    .where('status', '!=', 'deleted')
    .where('key_id', '!=', exceptKeyId)
    .execute();
  const taken = new Set(rows.map(({ alias }) => alias));
  if (!taken.has(base)) return base;
  for (let number = 2; ; number += 1) if (!taken.has(`${base}-${number}`)) return `${base}-${number}`;
}

async function hasSecret({ db }: HttpDeps, tokenHash: string, exceptKeyId: string): Promise<boolean> {
  const row = await db
    .selectFrom('keys')
    .select('key_id')
    .where((eb) => eb.or([eb('token_hash', '=', tokenHash), eb('old_token_hash', '=', tokenHash)]))
    .where('status', '!=', 'deleted')
    .where('key_id', '!=', exceptKeyId)
    .limit(1)
    .executeTakeFirst();
  return row !== undefined;
}
