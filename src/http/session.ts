import { createHmac, randomBytes } from 'node:crypto';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Refusal } from '../errors.ts';
import { hashSecret } from '../secrets.ts';
import type { HttpDeps } from './deps.ts';

/**
 * Sessions of the console: an opaque token in a cookie that scripts cannot read, of which the database
 * has the hash. A session acts as its user through the same table of routes and roles as a key.
 *
 * Against forged requests from other sites the cookie is SameSite=Strict, and whatever may change
 * something also needs the header `x-keyledger-console`, which no form can send and which a script
 * elsewhere can only send after asking this server, which never agrees.
 */
const SESSION_MS = 24 * 60 * 60 * 1_000;
const CONSOLE_HEADER = 'x-keyledger-console';
/** With `__Host-`, browsers refuse the cookie to everything but this host over TLS. */
const COOKIE = { secure: '__Host-keyledger', plain: 'keyledger' } as const;
/** 256 random bits in base64url. */
const TOKEN = /^[\w-]{43}$/;

export interface Session {
  readonly userId: string;
  readonly expiresAt: string;
}

/** Null when the request carries no session cookie. */
export function sessionTokenOf(request: FastifyRequest): string | null {
  const cookies = (request.headers.cookie ?? '').split(';').map((cookie) => cookie.trim());
  const name = isSecure(request) ? COOKIE.secure : COOKIE.plain;
  const found = cookies.find((cookie) => cookie.startsWith(`${name}=`))?.slice(name.length + 1);
  return found !== undefined && TOKEN.test(found) ? found : null;
}

/** Throws Refusal(session_expired). */
export async function findSession(deps: HttpDeps, token: string): Promise<Session> {
  const row = await deps.db
    .selectFrom('sessions')
    .selectAll()
    .where('token_hash', '=', hashSecret(token))
    .where('expires_at', '>', deps.now())
    .executeTakeFirst();
  const outdated = row?.opened_with != null && row.opened_with !== openedWith(deps);
  if (row === undefined || outdated) throw new Refusal('session_expired', {}, { param: 'None' });
  return { userId: row.user_id, expiresAt: row.expires_at };
}

/** Opens a session and sets its cookie. `asAdministrator`: with the console's own name and password. */
export async function openSession(
  deps: HttpDeps,
  request: FastifyRequest,
  reply: FastifyReply,
  { userId, asAdministrator }: { readonly userId: string; readonly asAdministrator: boolean },
): Promise<Session> {
  const token = randomBytes(32).toString('base64url');
  const now = deps.now();
  const expiresAt = new Date(Date.parse(now) + SESSION_MS).toISOString();
  await deps.db.deleteFrom('sessions').where('expires_at', '<=', now).execute();
  await deps.db
    .insertInto('sessions')
    .values({
      token_hash: hashSecret(token),
      user_id: userId,
      opened_with: asAdministrator ? openedWith(deps) : null,
      created_at: now,
      expires_at: expiresAt,
    })
    .execute();
  setCookie(request, reply, token, SESSION_MS / 1_000);
  return { userId, expiresAt };
}

export async function closeSession(deps: HttpDeps, request: FastifyRequest, reply: FastifyReply) {
  const token = sessionTokenOf(request);
  if (token !== null) {
    await deps.db.deleteFrom('sessions').where('token_hash', '=', hashSecret(token)).execute();
  }
  setCookie(request, reply, '', 0);
}

export async function closeSessionsOf(deps: Pick<HttpDeps, 'db'>, userId: string): Promise<number> {
  const closed = await deps.db.deleteFrom('sessions').where('user_id', '=', userId).execute();
  return closed.reduce((sum, { numDeletedRows }) => sum + Number(numDeletedRows), 0);
}

/** Throws Refusal(not_from_console) for what may change something and does not come from the console. */
export function requireConsole(request: FastifyRequest): void {
  const reads = request.method === 'GET' || request.method === 'HEAD';
  const site = request.headers['sec-fetch-site'];
  const foreign = site !== undefined && site !== 'same-origin' && site !== 'none';
  if (reads && !(foreign && site === 'cross-site')) return;
  if (request.headers[CONSOLE_HEADER] === undefined || foreign) throw new Refusal('not_from_console');
}

/** A cookie for TLS only wherever the browser speaks TLS, also to a proxy in front that says so. */
function isSecure(request: FastifyRequest): boolean {
  return request.protocol === 'https' || request.headers['x-forwarded-proto'] === 'https';
}

function setCookie(request: FastifyRequest, reply: FastifyReply, value: string, seconds: number): void {
  const [name, secure] = isSecure(request) ? [COOKIE.secure, '; Secure'] : [COOKIE.plain, ''];
  void reply.header(
    'set-cookie',
    `${name}=${value}; Path=/; HttpOnly; SameSite=Strict; Max-Age=${seconds}${secure}`,
  );
}

function openedWith({ console: { username, password }, serverSecret }: HttpDeps): string {
  const key = createHmac('sha256', serverSecret).update('console sessions').digest();
  return createHmac('sha256', key)
    .update(JSON.stringify([username, password]))
    .digest('hex');
}
