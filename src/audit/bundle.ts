import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { z } from 'zod';
import type { Placed } from '../store/stored-event.ts';
import type { Inclusion } from './stretch.ts';

/**
 * An export as JSON lines: a header, events exactly as they are stored, what proves that they are
 * under a seal, records that lie beside the log, and a footer with counts and the digest of all lines
 * before it. Each line is an object with one member that says what it is. The digest tells a damaged
 * file; what tells a forged one are the hashes, the seals and the key that the reader trusts.
 */
export type Scope =
  | { readonly kind: 'all' }
  | { readonly kind: 'tenant'; readonly id: string }
  | { readonly kind: 'key'; readonly id: string; readonly tenantId: string }
  | {
      readonly kind: 'invoice';
      readonly number: string;
      readonly id: string;
      readonly agencyId: string;
      readonly tenantId: string;
      readonly period: string;
    };

export interface Header {
  readonly format: 'keyledger bundle';
  readonly version: 1;
  readonly scope: Scope;
  /** Instant. */
  readonly exportedAt: string;
}

export interface BundleRecord {
  /** Table beside the log. */
  readonly table: string;
  /** As PostgreSQL's row_to_json gives it. */
  readonly row: Readonly<Record<string, unknown>>;
}

export interface Footer {
  readonly events: number;
  readonly proofs: number;
  readonly records: number;
  /** Lower-case hex SHA-256 over all lines before this one, each with its line end. */
  readonly sha256: string;
}

export type Entry =
  | { readonly kind: 'header'; readonly header: Header }
  | { readonly kind: 'event'; readonly placed: Placed }
  | { readonly kind: 'proof'; readonly proof: Inclusion }
  | { readonly kind: 'record'; readonly record: BundleRecord }
  | { readonly kind: 'footer'; readonly footer: Footer };

/** A line that cannot be understood, or a file that is not whole. */
export class BundleProblem extends Error {
  override readonly name = 'BundleProblem';
  /** 1-based. */
  readonly line: number;

  constructor(line: number, problem: string, options?: ErrorOptions) {
    super(`line ${line}: ${problem}`, options);
    this.line = line;
  }
}

/** Writes lines and knows what the footer has to say. `put` gets each with its line end. */
export interface BundleWriter {
  header(header: Header): Promise<void>;
  event(placed: Placed): Promise<void>;
  proof(proof: Inclusion): Promise<void>;
  /** `row` is JSON text, kept as it is. */
  record(table: string, row: string): Promise<void>;
  footer(): Promise<Footer>;
}

export function bundleWriter(put: (line: string) => Promise<void>): BundleWriter {
  const digest = createHash('sha256');
  const counts = { events: 0, proofs: 0, records: 0 };

  async function write(text: string): Promise<void> {
    // Readers of lines take these two for line ends; in JSON they only occur inside strings.
    const line = `${text.replaceAll('\u2028', '\\u2028').replaceAll('\u2029', '\\u2029')}\n`;
    digest.update(line);
    await put(line);
  }

  return {
    header: (header) => write(JSON.stringify({ header })),
    event: (event) => {
      counts.events += 1;
      return write(JSON.stringify({ event: inOrder(event) }, bigintText));
    },
    proof: (proof) => {
      counts.proofs += 1;
      return write(JSON.stringify({ proof }, bigintText));
    },
    record: (table, row) => {
      counts.records += 1;
      return write(`{"record":{"table":${JSON.stringify(table)},"row":${row}}}`);
    },
    async footer() {
      const footer = { ...counts, sha256: digest.digest('hex') };
      await put(`${JSON.stringify({ footer })}\n`);
      return footer;
    },
  };
}

/** The same members in the same order, whatever store they come from. */
function inOrder(placed: Placed): Placed {
  const { position, recordedAt, stream, revision, id, type, schema, agencyId, tenantId, occurredAt } = placed;
  const { actor, correlationId, causationId, commandHash, previousHash, hash, data } = placed;
  const place = { position, recordedAt, stream, revision };
  const cause = { agencyId, tenantId, occurredAt, actor, correlationId, causationId, commandHash };
  return { ...place, id, type, schema, ...cause, previousHash, hash, data };
}

function bigintText(_name: string, value: unknown): unknown {
  return typeof value === 'bigint' ? String(value) : value;
}

const Whole = z
  .string()
  .regex(/^\d{1,30}$/)
  .transform(BigInt);
const Hash = z.string().regex(/^[0-9a-f]{64}$/);
const Count = z.number().int().nonnegative();

const HeaderLine = z.object({
  format: z.literal('keyledger bundle'),
  version: z.literal(1, 'was written in a form that this build does not know'),
  scope: z.discriminatedUnion('kind', [
    z.object({ kind: z.literal('all') }),
    z.object({ kind: z.literal('tenant'), id: z.string() }),
    z.object({ kind: z.literal('key'), id: z.string(), tenantId: z.string() }),
    z.object({
      kind: z.literal('invoice'),
      number: z.string(),
      id: z.string(),
      agencyId: z.string(),
      tenantId: z.string(),
      period: z.string(),
    }),
  ]),
  exportedAt: z.string(),
});

const EventLine = z.strictObject({
  position: Whole,
  stream: z.string(),
  revision: Whole,
  id: z.string(),
  type: z.string(),
  schema: Count,
  agencyId: z.string(),
  tenantId: z.string().nullable(),
  occurredAt: z.string(),
  recordedAt: z.string(),
  actor: z.string(),
  correlationId: z.string(),
  causationId: z.string(),
  commandHash: z.string().nullable(),
  hash: Hash,
  previousHash: Hash,
  data: z.string(),
});

const ProofLine = z.strictObject({
  stream: z.string(),
  revision: Whole,
  hash: Hash,
  first: Whole,
  head: z.object({ revision: Whole, hash: Hash }),
  eventPath: z.array(Hash),
  index: Count,
  heads: Count,
  headPath: z.array(Hash),
});

const RecordLine = z.strictObject({ table: z.string(), row: z.record(z.string(), z.unknown()) });
const FooterLine = z.strictObject({ events: Count, proofs: Count, records: Count, sha256: Hash });

export interface NumberedEntry {
  readonly entry: Entry;
  /** 1-based. */
  readonly line: number;
}

/**
 * The entries of a bundle, header first and footer last. Throws BundleProblem at the first line that
 * cannot be understood, and at the end when the counts or the digest of the footer are not those of
 * the file.
 */
export async function* readBundle(lines: AsyncIterable<string>): AsyncGenerator<NumberedEntry, void, void> {
  const digest = createHash('sha256');
  const counts = { events: 0, proofs: 0, records: 0 };
  let line = 0;
  let footer: Footer | null = null;
  for await (const text of lines) {
    line += 1;
    if (footer !== null) throw new BundleProblem(line, 'nothing may follow the footer');
    const entry = readEntry(text, line);
    if ((line === 1) !== (entry.kind === 'header')) {
      throw new BundleProblem(line, line === 1 ? 'this is no bundle: it has no header' : 'a second header');
    }
    if (entry.kind === 'event') counts.events += 1;
    if (entry.kind === 'proof') counts.proofs += 1;
    if (entry.kind === 'record') counts.records += 1;
    if (entry.kind === 'footer') ({ footer } = entry);
    else digest.update(text).update('\n');
    yield { entry, line };
  }
  if (footer === null) throw new BundleProblem(line, 'the file ends without a footer: it was cut off');
  const isWhole =
    footer.events === counts.events && footer.proofs === counts.proofs && footer.records === counts.records;
  if (!isWhole || footer.sha256 !== digest.digest('hex')) {
    throw new BundleProblem(
      line,
      'the footer is not that of the lines before it: some were changed, removed or added',
    );
  }
}

function readEntry(text: string, line: number): Entry {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new BundleProblem(line, 'it is no JSON', { cause });
  }
  const [kind, ...others] = Object.keys(value ?? {});
  const content = (value as Readonly<Record<string, unknown>> | null)?.[kind ?? ''];
  if (others.length > 0) throw new BundleProblem(line, 'it says more than one thing');
  try {
    switch (kind) {
      case 'header':
        return { kind, header: HeaderLine.parse(content) };
      case 'event':
        return { kind, placed: EventLine.parse(content) };
      case 'proof':
        return { kind, proof: ProofLine.parse(content) };
      case 'record':
        return { kind, record: RecordLine.parse(content) };
      case 'footer':
        return { kind, footer: FooterLine.parse(content) };
      default:
        throw new BundleProblem(line, 'it is of a kind that this build does not know');
    }
  } catch (error) {
    if (!(error instanceof z.ZodError)) throw error;
    const [issue] = error.issues;
    throw new BundleProblem(line, `the ${kind} is wrong: ${issue?.path.join('.')} ${issue?.message}`, {
      cause: error,
    });
  }
}

/** The lines of a file, with a memory that does not depend on its size. */
export async function* linesOf(path: string): AsyncGenerator<string, void, void> {
  const input = createReadStream(path, 'utf8');
  const lines = createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY });
  try {
    for await (const line of lines) yield line;
  } finally {
    lines.close();
    input.destroy();
  }
}
