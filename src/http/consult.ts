import type { FastifyRequest } from 'fastify';
import { auditor } from '../domain/auditor.ts';
import { transact } from '../transact.ts';
import type { Caller } from './caller.ts';
import type { HttpDeps } from './deps.ts';

/** What an auditor asked for becomes an event before it is answered, also when the answer is "no such thing". */
export async function recordConsultation(deps: HttpDeps, request: FastifyRequest): Promise<void> {
  const { caller } = request;
  if (caller?.role !== 'auditor') return;
  const { auditor_id: auditorId, agency_id: agencyId, scope_kind: kind, scope_id: scopeId } = caller.auditor;
  const { id } = request.params as { readonly id?: string };
  // A secret may be given as the name of a key; it must not get into the log.
  const subject = id === undefined ? null : id.startsWith('sk-') ? 'sk-...' : id;
  await transact(
    deps.store,
    auditor,
    `auditor-${auditorId}`,
    { type: 'consult', route: request.routeOptions.url ?? '', subject },
    {
      commandId: request.id,
      at: deps.now(),
      agencyId,
      tenantId: kind === 'tenant' ? scopeId : null,
      actor: { kind: 'auditor', id: auditorId },
      correlationId: request.id,
      causationId: request.id,
    },
  );
}

/** Whether the caller may see what belongs to this agency and tenant. */
export function mayAudit(
  caller: Caller | null,
  owner: { readonly agency_id: string; readonly tenant_id: string },
): boolean {
  if (caller?.role !== 'auditor') return caller?.role === 'proxy_admin';
  const { scope_kind: kind, scope_id: id } = caller.auditor;
  return kind === 'agency' ? owner.agency_id === id : owner.tenant_id === id;
}
