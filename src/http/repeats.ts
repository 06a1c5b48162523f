import { createHmac } from 'node:crypto';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { canonicalJson } from '../domain/json.ts';
import { Refusal } from '../errors.ts';
import { openText, sealText } from '../sealed-text.ts';
import { commandIdOf } from './command.ts';
import type { HttpDeps } from './deps.ts';

/**
 * Idempotency-Key on every route that writes: the same key with the same request is answered as the
 * first time and does nothing more; with another request it is refused. The event ids that follow from
 * a key (transact.ts) say so for one stream and for ever; this says it across streams, and for what
 * leaves no event, for a day. A request that was refused leaves nothing: it may be put right and sent
 * again under its key. Two at once are both let through, and the event ids make one effect of them.
 */
declare module 'fastify' {
  interface FastifyRequest {
    /** Of a write with an Idempotency-Key by somebody who is known; else null. */
    repeat: Repeat | null;
  }
}

interface Repeat {
  readonly id: string;
  readonly fingerprint: string;
  /** True when no request had this key before: it is given back when this one is refused. */
  readonly isFirst: boolean;
  /** True when the answer is the one that was kept. */
  readonly isAnswered: boolean;
}

/** Answers that show a secret: never kept, and made again from the key by their handlers. */
const ROUTES_WITH_SECRETS: ReadonlySet<string> = new Set([
  'POST /key/generate',
  'POST /key/service-account/generate',
  'POST /key/regenerate',
  'POST /key/:key/regenerate',
  'POST /key/rotated',
  'POST /user/new',
  'POST /invitation/new',
  'POST /api/tenants',
  'POST /api/projects',
  'POST /api/credentials',
  'POST /api/audit/credentials',
  'POST /api/agencies/:id/alerts',
  'POST /api/agencies/:id/alerts/:target/secret',
  'POST /api/invoices/:id/links',
]);

const KEPT_MS = 24 * 3_600_000;
/** Characters; a longer answer is made anew. */
const ANSWER_LENGTH_MAX = 200_000;
const READS = ['GET', 'HEAD', 'OPTIONS'];

/** Register after the hooks that authenticate. */
export function answerRepeats(app: FastifyInstance, deps: HttpDeps): void {
  app.decorateRequest('repeat', null);
  const fingerprints = new WeakMap<FastifyRequest, string>();
  app.addHook('preValidation', async (request) => {
    // Before validation, which fills in defaults.
    if (isRepeatable(request)) fingerprints.set(request, fingerprintOf(deps, request));
  });
  app.addHook('preHandler', async (request, reply) => {
    const fingerprint = fingerprints.get(request);
    const commandId = fingerprint === undefined ? null : commandIdOf(request);
    if (fingerprint === undefined || commandId === null) return undefined;
    const id = digest(deps, ['repeat', commandId]);
    const earlier = await claim(deps, id, fingerprint);
    if (earlier !== null && earlier.fingerprint !== fingerprint) throw new Refusal('idempotency_key_reused');
    const answer = earlier?.answer ?? null;
    request.repeat = { id, fingerprint, isFirst: earlier === null, isAnswered: answer !== null };
    return answer === null ? undefined : sendKept(reply, openText(deps.serverSecret, answer, id));
  });
  app.addHook('onSend', async (request, reply, payload) => {
    const { repeat } = request;
    if (repeat === null || repeat.isAnswered) return;
    if (reply.statusCode < 300) await keep(deps, request, reply, repeat, payload);
    else if (repeat.isFirst) await giveBack(deps, repeat);
  });
}

/** Public routes know nobody whose key it could be. */
function isRepeatable(request: FastifyRequest): boolean {
  return request.caller !== null && !READS.includes(request.method) && !request.is404;
}

function fingerprintOf(deps: HttpDeps, request: FastifyRequest): string {
  return digest(deps, [request.method, request.url, canonicalJson(request.body ?? null)]);
}

function digest({ serverSecret }: HttpDeps, parts: readonly string[]): string {
  return createHmac('sha256', serverSecret).update(JSON.stringify(parts)).digest('base64url');
}

interface Earlier {
  readonly fingerprint: string;
  readonly answer: string | null;
}

/** The request that had the key before; null when this one is the first. */
async function claim(deps: HttpDeps, id: string, fingerprint: string): Promise<Earlier | null> {
  const { db } = deps;
  const at = deps.now();
  const over = new Date(Date.parse(at) - KEPT_MS).toISOString();
  await db.deleteFrom('repeated_requests').where('asked_at', '<=', over).execute();
  const made = await db
    .insertInto('repeated_requests')
    .values({ id, fingerprint, answer: null, asked_at: at })
    .onConflict((conflict) => conflict.doNothing())
    .returning('id')
    .executeTakeFirst();
  if (made !== undefined) return null;
  const earlier = await db
    .selectFrom('repeated_requests')
    .select(['fingerprint', 'answer'])
    .where('id', '=', id)
    .executeTakeFirst();
  // Given back in between, by a request that was refused.
  return earlier ?? null;
}

async function keep(
  deps: HttpDeps,
  request: FastifyRequest,
  reply: FastifyReply,
  { id, fingerprint }: Repeat,
  payload: unknown,
): Promise<void> {
  if (ROUTES_WITH_SECRETS.has(`${request.method} ${request.routeOptions.url}`)) return;
  if (typeof payload !== 'string' || payload.length > ANSWER_LENGTH_MAX) return;
  const kept: Kept = {
    status: reply.statusCode,
    type: textOf(reply.getHeader('content-type')),
    position: textOf(reply.getHeader('x-keyledger-position')),
    payload,
  };
  const answer = sealText(deps.serverSecret, JSON.stringify(kept), id);
  await deps.db
    .insertInto('repeated_requests')
    .values({ id, fingerprint, answer, asked_at: deps.now() })
    .onConflict((conflict) => conflict.column('id').doUpdateSet({ answer }))
    .execute();
}

async function giveBack({ db }: HttpDeps, { id }: Repeat): Promise<void> {
  await db.deleteFrom('repeated_requests').where('id', '=', id).where('answer', 'is', null).execute();
}

interface Kept {
  readonly status: number;
  readonly type: string | null;
  readonly position: string | null;
  readonly payload: string;
}

function sendKept(reply: FastifyReply, text: string): FastifyReply {
  const { status, type, position, payload } = JSON.parse(text) as Kept;
  if (type !== null) void reply.header('content-type', type);
  if (position !== null) void reply.header('x-keyledger-position', position);
  return reply.status(status).send(payload);
}

function textOf(header: unknown): string | null {
  return typeof header === 'string' ? header : null;
}
