import { randomUUID } from 'node:crypto';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Refusal } from '../errors.ts';
import type { Actor } from '../events.ts';
import type { EventStore } from '../store/event-store.ts';
import { type CommandMeta, eventId } from '../transact.ts';
import { MASTER_USER_ID } from './authenticate.ts';
import type { Caller } from './caller.ts';
import type { HttpDeps } from './deps.ts';
import { settle } from './settle.ts';

/** A write request as the log will know it: who, why, and under which id it can be repeated. */
export interface Command extends Omit<CommandMeta, 'agencyId' | 'tenantId'> {
  /** True when the client sent an Idempotency-Key, so that the answer must be the same next time. */
  readonly repeatable: boolean;
  /** What a repetition must have in common with the first request. */
  readonly input: { readonly route: string; readonly params: unknown; readonly body: unknown };
}

/** What an Idempotency-Key of this caller is called; null when none was sent. Throws Refusal(invalid_input). */
export function commandIdOf(request: FastifyRequest): string | null {
  const key = headerOf(request, 'idempotency-key');
  const { kind, id } = actorOf(request.caller);
  return key === undefined ? null : `${kind}:${id}:${key}`;
}

/** `actor` for routes that are public and know who is there all the same. */
export function commandOf(
  deps: Pick<HttpDeps, 'now'>,
  request: FastifyRequest,
  actor: Pick<Actor, 'kind' | 'id'> = actorOf(request.caller),
): Command {
  const idempotencyKey = headerOf(request, 'idempotency-key');
  const onBehalfOf = headerOf(request, 'litellm-changed-by');
  const by: Actor = {
    ...actor,
    ...(onBehalfOf === undefined ? {} : { onBehalfOf }),
  };
  return {
    // The caller is part of the id: the same header from someone else is another command.
    commandId: idempotencyKey === undefined ? randomUUID() : `${actor.kind}:${actor.id}:${idempotencyKey}`,
    repeatable: idempotencyKey !== undefined,
    at: deps.now(),
    actor: by,
    correlationId: request.id,
    causationId: request.id,
    input: {
      route: request.routeOptions.url ?? '',
      params: { ...(request.params as object) },
      body: request.body,
    },
  };
}

function actorOf(caller: Caller | null): Pick<Actor, 'kind' | 'id'> {
  switch (caller?.role) {
    case 'proxy_admin':
      return { kind: caller.userId === MASTER_USER_ID ? 'master' : 'user', id: caller.userId };
    case 'user':
      return { kind: 'user', id: caller.standing.userId };
    case 'key':
      return { kind: 'key', id: caller.key.key_id };
    case 'auditor':
      return { kind: 'auditor', id: caller.auditor.auditor_id };
    default:
      throw new Error('a write reached its handler without somebody who may write');
  }
}

const HEADER_LENGTH_MAX = 255;

function headerOf(request: FastifyRequest, name: string): string | undefined {
  const value = request.headers[name];
  if (value === undefined) return undefined;
  if (
    typeof value !== 'string' ||
    value.length > HEADER_LENGTH_MAX ||
    !/^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/.test(value)
  ) {
    const problems = `header ${name}: send 1 to ${HEADER_LENGTH_MAX} printable ASCII characters`;
    throw new Refusal('invalid_input', { problems }, { param: name });
  }
  return value;
}

/** The part that goes into the events of things which belong to this tenant. */
export function metaFor(
  command: Command,
  owner: { readonly agencyId: string; readonly tenantId: string | null },
): CommandMeta {
  const { commandId, at, actor, correlationId, causationId } = command;
  return {
    commandId,
    at,
    actor,
    correlationId,
    causationId,
    agencyId: owner.agencyId,
    tenantId: owner.tenantId,
  };
}

/** Whether this very command has been carried out on the stream before. */
export async function hasRun(store: EventStore, stream: string, command: Command): Promise<boolean> {
  if (!command.repeatable) return false;
  const id = eventId(stream, command.commandId, 0);
  for await (const recorded of store.readStream(stream)) if (recorded.id === id) return true;
  return false;
}

/** Ends a write: from here on every read and every call through the gateway knows about it, in whichever process. */
export async function takeEffect(deps: HttpDeps, reply: FastifyReply, position: bigint): Promise<void> {
  await Promise.all([settle(deps, position), deps.everywhere?.(position)]);
  void reply.header('x-keyledger-position', String(position));
}

/** A part of a command that writes several times to one stream: its own id, the same input. */
export function partOf(command: Command, part: string): Command {
  return { ...command, commandId: `${command.commandId}:${part}` };
}
