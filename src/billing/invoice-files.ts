import type { Kysely } from 'kysely';
import type { BillingTables } from './billing-records.ts';
import { type XmlFormat, invoiceXml } from './documents/e-invoice-file.ts';
import { invoicePdf } from './documents/invoice-pdf.ts';
import { statementCsv, statementPdf } from './documents/statement.ts';
import { brandOf, findDocument } from './kept-documents.ts';

/** The files of an invoice. Each is made from the kept document alone, so it is the same every time. */
export const FILE_KINDS = [
  'pdf',
  'cii',
  'xrechnung-cii',
  'xrechnung-ubl',
  'statement-csv',
  'statement-pdf',
] as const;
export type FileKind = (typeof FILE_KINDS)[number];

export interface InvoiceFile {
  readonly name: string;
  readonly mediaType: string;
  readonly bytes: Buffer;
  /** SHA-256 of the document that it was made from. */
  readonly documentHash: string;
}

/** `name` is an id or a number. Throws Refusal(not_found | bad_request | e_invoice_rule). */
export async function invoiceFile(
  db: Kysely<BillingTables>,
  name: string,
  kind: FileKind,
): Promise<InvoiceFile> {
  const { document, hash } = await findDocument(db, name);
  const { number } = document;
  const file = (suffix: string, mediaType: string, bytes: Buffer | string): InvoiceFile => ({
    name: `${number}${suffix}`,
    mediaType,
    bytes: Buffer.from(bytes),
    documentHash: hash,
  });
  switch (kind) {
    case 'pdf':
      return file('.pdf', 'application/pdf', await invoicePdf(document, await brandOf(db, document.brand)));
    case 'statement-csv':
      return file('-usage.csv', 'text/csv; charset=utf-8', statementCsv(document));
    case 'statement-pdf': {
      const brand = await brandOf(db, document.brand);
      return file('-usage.pdf', 'application/pdf', await statementPdf(document, brand));
    }
    default:
      return file(suffixOf(kind), 'application/xml; charset=utf-8', invoiceXml(document, kind));
  }
}

function suffixOf(format: XmlFormat): string {
  return format === 'cii' ? '.xml' : `-${format}.xml`;
}
