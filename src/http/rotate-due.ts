import { expiryAfter } from '../domain/duration.ts';
import type { KeyExtra } from '../domain/extra-limits.ts';
import { key } from '../domain/key.ts';
import { derivedSecret, hashSecret, maskSecret } from '../secrets.ts';
import { load, transact } from '../transact.ts';
import type { HttpDeps } from './deps.ts';
import { liveKey } from './issue-key.ts';
import type { KeyRow } from './read.ts';

/**
 * Keys that rotate by themselves. A new secret follows from the server's own and the number of the
 * rotation, so that nothing has to be stored: whoever holds the old secret asks for the new one with
 * `POST /key/rotated` while the old one still works.
 */
export interface RotationOptions {
  /** Instant that counts as now. */
  readonly now: string;
  /** How long the old secret works on, as a duration such as `7d`. */
  readonly grace: string;
  /** Most keys in one go; the rest is due still. */
  readonly keysMax: number;
}

/** Rotates what is due and returns the ids. Doing it twice, or in two processes, rotates once. */
export async function rotateDueKeys(deps: HttpDeps, options: RotationOptions): Promise<readonly string[]> {
  const { now, keysMax } = options;
  const due = await deps.db
    .selectFrom('keys')
    .select(['key_id', 'agency_id', 'tenant_id'])
    .where('rotates_at', '<=', now)
    .where('status', '=', 'active')
    .where((eb) => eb.or([eb('expires_at', 'is', null), eb('expires_at', '>', now)]))
    .orderBy('rotates_at')
    .orderBy('key_id')
    .limit(keysMax)
    .execute();
  for (const row of due) await rotate(deps, row, options);
  return due.map(({ key_id }) => key_id);
}

async function rotate(
  deps: HttpDeps,
  row: { readonly key_id: string; readonly agency_id: string; readonly tenant_id: string },
  { now, grace }: RotationOptions,
): Promise<void> {
  const { settings, rotations } = liveKey(await load(deps.store, key, `key-${row.key_id}`));
  const { extra } = settings;
  if (extra?.rotation == null || extra.rotation.dueAt > now) return;
  const commandId = commandIdOf(row.key_id, BigInt(rotations));
  const secret = secretOf(deps, commandId);
  const dueAt = nextAfter(extra.rotation, now);
  await transact(
    deps.store,
    key,
    `key-${row.key_id}`,
    {
      type: 'rotate',
      tokenHash: hashSecret(secret),
      keyName: maskSecret(secret),
      graceEndsAt: expiryAfter(now, grace),
      settings: {
        extra: { ...extra, rotation: { ...extra.rotation, dueAt } },
        options: { ...settings.options, key_rotation_at: dueAt },
      },
    },
    {
      commandId,
      at: now,
      agencyId: row.agency_id,
      tenantId: row.tenant_id,
      actor: { kind: 'system', id: 'rotation' },
      correlationId: commandId,
      causationId: commandId,
    },
    { input: { rotation: row.key_id } },
  );
}

/** The first time on the key's own beat that is still to come. */
function nextAfter({ interval, dueAt }: NonNullable<KeyExtra['rotation']>, now: string): string {
  const next = expiryAfter(dueAt, interval);
  return next > now ? next : expiryAfter(now, interval);
}

function commandIdOf(keyId: string, rotation: bigint): string {
  return `rotation:${keyId}:${rotation}`;
}

function secretOf({ serverSecret }: HttpDeps, commandId: string): string {
  return derivedSecret(serverSecret, commandId, 'regenerate');
}

/** The secret that a key got by itself the last time; null when somebody else gave it the one it has. */
export function rotatedSecret(deps: HttpDeps, row: KeyRow): string | null {
  if (row.rotations === 0n) return null;
  const secret = secretOf(deps, commandIdOf(row.key_id, row.rotations - 1n));
  return hashSecret(secret) === row.token_hash ? secret : null;
}

/** How often it is looked whether something is due, how long an old secret works on, and how much is done in one go. */
const ROUND_MS = 60_000;
const GRACE = '7d';
const KEYS_MAX = 500;

/** Rotates what is due every minute. `stop` waits for a round under way. */
export function startRotation(deps: HttpDeps): { readonly stop: () => Promise<void> } {
  let round: Promise<unknown> = Promise.resolve();
  const timer = setInterval(() => {
    round = round
      .then(() => rotateDueKeys(deps, { now: deps.now(), grace: GRACE, keysMax: KEYS_MAX }))
      .catch((error: unknown) => deps.log.error({ err: error }, 'keys that are due could not be rotated'));
  }, ROUND_MS);
  return {
    async stop() {
      clearInterval(timer);
      await round;
    },
  };
}
