/** Bundles as lists of lines, and what a forger does to them: a footer made anew belongs to it. */
import { createHash } from 'node:crypto';
import { exportBundle } from '../../src/audit/export.ts';
import { resolveScope, type ScopeRequest } from '../../src/audit/export-scope.ts';
import { type BundleReport, verifyBundle, type VerifyBundleOptions } from '../../src/audit/verify-bundle.ts';
import type { EventStore } from '../../src/store/event-store.ts';
import { hashOf } from '../../src/store/codec.ts';
import { type AuditedDatabase, openStore } from './audited-database.ts';

export async function exported(
  audited: Pick<AuditedDatabase, 'pool'>,
  request: ScopeRequest,
  from?: EventStore,
): Promise<readonly string[]> {
  const store = from ?? openStore(audited);
  const deps = { store, pool: audited.pool, now: () => '2026-11-20T12:00:00.000Z' };
  const lines: string[] = [];
  try {
    const scope = await resolveScope(deps, request);
    if (scope === null) throw new Error('there is no such thing');
    const put = (line: string): Promise<void> => Promise.resolve(void lines.push(line.slice(0, -1)));
    await exportBundle(deps, { scope, put });
  } finally {
    if (from === undefined) await store.close();
  }
  return lines;
}

/** A parsed line. */
// oxlint-disable-next-line typescript/no-explicit-any -- tests damage lines in ways that every real type forbids
export type Line = any;

export function parsed(lines: readonly string[]): Line[] {
  return lines.map((line) => JSON.parse(line));
}

/** The lines of a forged bundle, with the footer that they ask for. */
export function withFooter(entries: readonly Line[]): readonly string[] {
  const body = entries.filter(({ footer }) => footer === undefined);
  const lines = body.map((entry) => JSON.stringify(entry));
  const count = (kind: string) => body.filter((entry) => kind in entry).length;
  const sha256 = createHash('sha256')
    .update(lines.map((line) => `${line}\n`).join(''))
    .digest('hex');
  const footer = { events: count('event'), proofs: count('proof'), records: count('record'), sha256 };
  return [...lines, JSON.stringify({ footer })];
}

/** Gives every event of a stream the revision of its place and the hash that its content has. */
export function chainAnew(entries: readonly Line[], stream: string): void {
  let previousHash = '0'.repeat(64);
  const events = entries.flatMap(({ event }) => (event?.stream === stream ? [event] : []));
  for (const [i, event] of events.entries()) {
    event.revision = String(i);
    event.previousHash = previousHash;
    event.hash = hashOf({ ...event, revision: BigInt(i) });
    previousHash = event.hash;
  }
}

export async function* asLines(lines: readonly string[]): AsyncGenerator<string, void, void> {
  for (const line of lines) yield await Promise.resolve(line);
}

export function check(
  lines: readonly string[],
  options: Partial<VerifyBundleOptions> = {},
): Promise<BundleReport> {
  return verifyBundle({ open: () => asLines(lines), nowMs: () => performance.now(), ...options });
}

export function failures({ checks }: BundleReport): Record<string, string> {
  return Object.fromEntries(
    checks
      .filter(({ ok }) => !ok)
      .map(({ name, at }) => [name, at.map(({ position, problem }) => `${position}: ${problem}`).join('\n')]),
  );
}
