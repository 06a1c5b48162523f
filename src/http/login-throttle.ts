import { createHmac } from 'node:crypto';
import { sql } from 'kysely';
import { Refusal } from '../errors.ts';
import type { HttpDeps } from './deps.ts';

/**
 * Slows down whoever guesses passwords: after a few failures for a name from an address, or many from
 * an address or for a name, sign-in is refused for the rest of a window. The counts are in the
 * database, so that several processes have one memory, and a restart forgets nothing.
 */
export interface LoginThrottle {
  /**
   * Counts an attempt before its password is looked at, so that many at once do not get many guesses.
   * Throws Refusal(login_throttled).
   */
  begin(attempt: Attempt): Promise<void>;
  /** Takes back what `begin` counted, and forgets the failures of this name from this address. */
  succeeded(attempt: Attempt): Promise<void>;
}

export interface Attempt {
  /** As typed; compared without case. */
  readonly name: string;
  readonly address: string;
}

const WINDOW_MS = 300_000;
const FAILURES_MAX = { nameAndAddress: 5, address: 30, name: 100 } as const;

type Deps = Pick<HttpDeps, 'db' | 'now' | 'serverSecret'>;

export function loginThrottle(deps: Deps): LoginThrottle {
  const { db } = deps;
  return {
    async begin(attempt) {
      const nowMs = Date.parse(deps.now());
      // The narrowest first: whoever is refused there does not use up what others have for the name.
      for (const { id, max } of countsOf(deps, attempt)) {
        const { failures, beganMs } = await count(deps, id);
        if (failures <= max) continue;
        const seconds = Math.max(1, Math.ceil((beganMs + WINDOW_MS - nowMs) / 1_000));
        throw new Refusal('login_throttled', { seconds }, { retryAfterSeconds: seconds });
      }
    },
    async succeeded(attempt) {
      const [both, ...wider] = countsOf(deps, attempt).map(({ id }) => id);
      await db.deleteFrom('login_attempts').where('id', '=', both!).execute();
      await db
        .updateTable('login_attempts')
        .set({ failures: sql<number>`failures - 1` })
        .where('id', 'in', wider)
        .where('failures', '>', 0)
        .execute();
    },
  };
}

async function count(
  { db, now }: Deps,
  id: string,
): Promise<{ readonly failures: number; readonly beganMs: number }> {
  const at = now();
  const over = new Date(Date.parse(at) - WINDOW_MS).toISOString();
  await db.deleteFrom('login_attempts').where('began_at', '<=', over).execute();
  const row = await db
    .insertInto('login_attempts')
    .values({ id, failures: 1, began_at: at })
    .onConflict((conflict) =>
      conflict.column('id').doUpdateSet({ failures: sql<number>`login_attempts.failures + 1` }),
    )
    .returning(['failures', 'began_at'])
    .executeTakeFirstOrThrow();
  return { failures: row.failures, beganMs: Date.parse(row.began_at) };
}

function countsOf(
  { serverSecret }: Deps,
  { name, address }: Attempt,
): readonly { readonly id: string; readonly max: number }[] {
  const who = name.trim().toLowerCase();
  const idOf = (...parts: readonly string[]) =>
    createHmac('sha256', serverSecret)
      .update(JSON.stringify(['login', ...parts]))
      .digest('base64url');
  return [
    { id: idOf('both', address, who), max: FAILURES_MAX.nameAndAddress },
    { id: idOf('address', address), max: FAILURES_MAX.address },
    { id: idOf('name', who), max: FAILURES_MAX.name },
  ];
}
