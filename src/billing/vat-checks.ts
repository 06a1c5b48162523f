import { createHash } from 'node:crypto';
import type { Kysely } from 'kysely';
import { canonicalJson } from '../domain/json.ts';
import { vatCheck, type VatCheckSource } from '../domain/vat-check.ts';
import { Refusal } from '../errors.ts';
import { derivedId } from '../secrets.ts';
import type { EventStore } from '../store/event-store.ts';
import { type CommandMeta, transact } from '../transact.ts';
import type { BillingRecords, BillingTables } from './billing-records.ts';
import { plainVatId, vatCheckStream, vatIdHash } from './tax-facts.ts';
import type { AskVies } from './vies.ts';

/** Checks a tenant's VAT id and keeps the evidence: what was asked, what was answered, and when. */
export interface VatCheckDeps {
  readonly store: EventStore;
  readonly db: Kysely<BillingTables>;
  readonly records: Pick<BillingRecords, 'contact'>;
  readonly askVies: AskVies;
}

export interface VatCheckRequest {
  readonly agencyId: string;
  readonly tenantId: string;
  /** A check that somebody made elsewhere, such as at the tax office; null asks VIES. */
  readonly byHand: { readonly valid: boolean; readonly checkedAt: string; readonly note: string } | null;
  readonly meta: CommandMeta;
}

export interface VatEvidence {
  readonly source: VatCheckSource;
  readonly vat_id: string;
  readonly requester_vat_id: string | null;
  readonly valid: boolean;
  /** Instant of the answer here. */
  readonly checked_at: string;
  /** As the register states it. */
  readonly request_date: string | null;
  readonly request_identifier: string | null;
  readonly name: string | null;
  readonly address: string | null;
  readonly note: string | null;
}

export interface KeptCheck {
  readonly checkId: string;
  readonly evidence: VatEvidence;
  readonly position: bigint;
}

/** Throws Refusal(bad_request | vat_check_unavailable). */
export async function checkVatId(deps: VatCheckDeps, request: VatCheckRequest): Promise<KeptCheck> {
  const { agencyId, tenantId, meta } = request;
  const vatId = vatIdIn(await deps.records.contact(tenantId));
  if (vatId === null) {
    throw new Refusal('bad_request', { problem: 'The tenant has no VAT id with the prefix of its country.' });
  }
  const requester = vatIdIn(await deps.records.contact(agencyId));
  const checkId = derivedId('vck', meta.commandId, tenantId);
  // A repeated command finds the answer that it got; the register is not asked again.
  const kept = await keptCheck(deps.db, checkId);
  const { evidence, hash } =
    kept ?? (await keepCheck(deps.db, request, checkId, await evidenceOf(deps, request, vatId, requester)));
  const check = {
    tenantId,
    checkId,
    valid: evidence.valid,
    source: evidence.source,
    checkedAt: evidence.checked_at,
    vatIdHash: vatIdHash(vatId),
    evidenceHash: hash,
  };
  const input = { tenantId, byHand: request.byHand };
  const { position } = await transact(
    deps.store,
    vatCheck,
    vatCheckStream(tenantId),
    { type: 'record', check },
    meta,
    { input },
  );
  return { checkId, evidence, position };
}

interface KeptEvidence {
  readonly evidence: VatEvidence;
  readonly hash: string;
}

async function keptCheck(db: Kysely<BillingTables>, checkId: string): Promise<KeptEvidence | null> {
  const row = await db
    .selectFrom('vat_checks')
    .select(['evidence', 'hash'])
    .where('check_id', '=', checkId)
    .executeTakeFirst();
  return row === undefined ? null : { evidence: JSON.parse(row.evidence) as VatEvidence, hash: row.hash };
}

async function keepCheck(
  db: Kysely<BillingTables>,
  { tenantId }: VatCheckRequest,
  checkId: string,
  evidence: VatEvidence,
): Promise<KeptEvidence> {
  const text = canonicalJson(evidence);
  const hash = createHash('sha256').update(text).digest('hex');
  await db
    .insertInto('vat_checks')
    .values({ check_id: checkId, tenant_id: tenantId, evidence: text, hash })
    .onConflict((conflict) => conflict.doNothing())
    .execute();
  return (await keptCheck(db, checkId)) ?? { evidence, hash };
}

async function evidenceOf(
  deps: VatCheckDeps,
  { byHand, meta }: VatCheckRequest,
  vatId: string,
  requester: string | null,
): Promise<VatEvidence> {
  const asked = { vat_id: vatId, requester_vat_id: requester };
  const nothing = { request_date: null, request_identifier: null, name: null, address: null };
  if (byHand !== null) {
    const { valid, checkedAt, note } = byHand;
    return { source: 'by hand', ...asked, valid, checked_at: checkedAt, ...nothing, note };
  }
  const answer = await deps.askVies({ vatId, requester });
  if (answer.kind === 'unavailable') {
    throw new Refusal('vat_check_unavailable', { problem: answer.problem }, { retryAfterSeconds: 300 });
  }
  return {
    source: 'vies',
    ...asked,
    valid: answer.valid,
    checked_at: meta.at,
    request_date: answer.requestDate,
    request_identifier: answer.requestIdentifier,
    name: answer.name,
    address: answer.address,
    note: null,
  };
}

/** Newest first. */
export async function vatChecksOf(
  db: Kysely<BillingTables>,
  tenantId: string,
): Promise<readonly Omit<KeptCheck, 'position'>[]> {
  const rows = await db
    .selectFrom('vat_checks')
    .select(['check_id', 'evidence'])
    .where('tenant_id', '=', tenantId)
    .execute();
  return rows
    .map((row) => ({ checkId: row.check_id, evidence: JSON.parse(row.evidence) as VatEvidence }))
    .toSorted((a, b) => (a.evidence.checked_at < b.evidence.checked_at ? 1 : -1));
}

function vatIdIn(contact: unknown): string | null {
  const vatId = (contact as { readonly vat_id?: unknown } | null)?.vat_id;
  if (typeof vatId !== 'string') return null;
  const plain = plainVatId(vatId);
  return /^[A-Z]{2}[A-Z0-9+*]{2,13}$/.test(plain) ? plain : null;
}
