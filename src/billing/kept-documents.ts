import type { Kysely } from 'kysely';
import { canonicalJson } from '../domain/json.ts';
import { Refusal } from '../errors.ts';
import { type BillingTables, documentHash } from './billing-records.ts';
import { Brand, PLAIN_BRAND } from './documents/brand.ts';
import { type InvoiceDocument, readDocument } from './documents/invoice-document.ts';

/** Issued documents and the brands they wear, as they were kept. */
export interface KeptDocument {
  readonly document: InvoiceDocument;
  /** SHA-256 of the document as it was issued. */
  readonly hash: string;
}

/**
 * By id of the invoice or Stornorechnung, or by number. Throws Refusal(not_found), and
 * Refusal(bad_request) when several agencies have the number; Error when it was altered.
 */
export async function findDocument(db: Kysely<BillingTables>, name: string): Promise<KeptDocument> {
  const rows = await db
    .selectFrom('invoice_documents')
    .select(['document', 'hash'])
    .where((eb) => eb.or([eb('invoice_id', '=', name), eb('number', '=', name)]))
    .limit(2)
    .execute();
  const [row] = rows;
  if (row === undefined) throw new Refusal('not_found', { what: 'invoice document' });
  if (rows.length > 1) {
    throw new Refusal('bad_request', { problem: `Several agencies have a document ${name}: use its id.` });
  }
  return readKept(row);
}

/** In the order of their numbers. */
export async function documentsById(
  db: Kysely<BillingTables>,
  ids: readonly string[],
): Promise<readonly InvoiceDocument[]> {
  if (ids.length === 0) return [];
  const rows = await db
    .selectFrom('invoice_documents')
    .select(['document', 'hash'])
    .where('invoice_id', 'in', ids)
    .execute();
  const documents = rows.map((row) => readKept(row).document);
  return documents.toSorted((a, b) => (a.number < b.number ? -1 : 1));
}

function readKept({ document, hash }: { readonly document: string; readonly hash: string }): KeptDocument {
  if (documentHash(document) !== hash) throw new Error('a kept invoice document was altered');
  return { document: readDocument(document), hash };
}

export async function brandOf(db: Kysely<BillingTables>, hash: string | null): Promise<Brand> {
  if (hash === null) return PLAIN_BRAND;
  const row = await db.selectFrom('brands').select('data').where('hash', '=', hash).executeTakeFirst();
  if (row === undefined) throw new Error(`the brand ${hash} is missing`);
  return Brand.parse(JSON.parse(row.data));
}

export interface KeptBrand {
  readonly version: number;
  readonly hash: string;
  readonly brand: Brand;
}

export async function newestBrand(db: Kysely<BillingTables>, agencyId: string): Promise<KeptBrand | null> {
  const row = await db
    .selectFrom('brands')
    .select(['version', 'hash', 'data'])
    .where('agency_id', '=', agencyId)
    .orderBy('version', 'desc')
    .limit(1)
    .executeTakeFirst();
  return row === undefined
    ? null
    : { version: row.version, hash: row.hash, brand: Brand.parse(JSON.parse(row.data)) };
}

/** Documents that are issued from here on wear it; the same brand again changes nothing. */
export async function keepBrand(
  db: Kysely<BillingTables>,
  agencyId: string,
  brand: Brand,
): Promise<KeptBrand> {
  const known = await newestBrand(db, agencyId);
  if (known !== null && canonicalJson(known.brand) === canonicalJson(brand)) return known;
  const version = (known?.version ?? 0) + 1;
  const data = canonicalJson(brand);
  const hash = documentHash(`${agencyId} ${version} ${data}`);
  const inserted = await db
    .insertInto('brands')
    .values({ hash, agency_id: agencyId, version, data })
    .onConflict((conflict) => conflict.doNothing())
    .executeTakeFirst();
  if (inserted.numInsertedOrUpdatedRows !== 1n) throw new Refusal('stream_changed');
  return { version, hash, brand };
}
