import { sql } from 'kysely';
import type { JsonObject } from '../domain/json.ts';
import { Refusal } from '../errors.ts';
import { type Db, recordOf } from './read.ts';

/**
 * What is known about people beside the log: e-mail, name, their own JSON. Only the newest record is
 * kept, so that what was corrected is gone; events count its versions and never hold it.
 */
export type ContactKind = 'user' | 'customer';

export function subjectOf(kind: ContactKind, id: string): string {
  return `${kind}:${id}`;
}

export async function contactOf(db: Db, kind: ContactKind, id: string): Promise<JsonObject> {
  const row = await db
    .selectFrom('contacts')
    .select('data')
    .where('subject_id', '=', subjectOf(kind, id))
    .orderBy('version', 'desc')
    .executeTakeFirst();
  return row === undefined ? {} : recordOf(row.data);
}

/** Throws Refusal(user_exists) when the e-mail address is somebody else's. */
export async function keepContact(
  db: Db,
  kind: ContactKind,
  id: string,
  version: number,
  data: JsonObject,
): Promise<void> {
  const subject = subjectOf(kind, id);
  const email = typeof data['email'] === 'string' ? data['email'] : '';
  try {
    await db.transaction().execute(async (transaction) => {
      await transaction.deleteFrom('contacts').where('subject_id', '=', subject).execute();
      await transaction.insertInto('contacts').values({ subject_id: subject, version, data }).execute();
    });
  } catch (error) {
    const { code, constraint } = error as { code?: unknown; constraint?: unknown };
    if (code !== '23505' || constraint !== 'contacts_user_email') throw error;
    throw new Refusal('user_exists', { id: email }, { param: 'user_email' });
  }
}

export async function forgetContact(db: Db, kind: ContactKind, id: string): Promise<void> {
  await db.deleteFrom('contacts').where('subject_id', '=', subjectOf(kind, id)).execute();
  if (kind !== 'user') return;
  await db.deleteFrom('passwords').where('user_id', '=', id).execute();
  await db.deleteFrom('sessions').where('user_id', '=', id).execute();
}

/** The user with this e-mail address, however it is written. */
export async function userIdByEmail(db: Db, email: string): Promise<string | undefined> {
  const row = await db
    .selectFrom('contacts')
    .select('subject_id')
    .where('subject_id', 'like', 'user:%')
    .where(sql<boolean>`lower(data ->> 'email') = lower(${email})`)
    .executeTakeFirst();
  return row?.subject_id.slice('user:'.length);
}
