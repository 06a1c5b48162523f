import { readFileSync, writeFileSync } from 'node:fs';
import { readSpool } from './gateway/spool.ts';
import type { EventStore } from './store/event-store.ts';

/**
 * Which log the spool of a data folder belongs to: the hash of the log's first event, which a move to
 * another store keeps. A folder that is pointed at another database must not put its usage there.
 */
const SUFFIX = '.log-id';

/** Throws when the spool holds usage of another log. */
export async function requireOwnSpool(dir: string, store: Pick<EventStore, 'readLog'>): Promise<void> {
  const owner = ownerOf(dir);
  if (owner === null || owner === (await firstHash(store)) || readSpool(dir).size === 0) return;
  throw new Error(
    `The spool in ${dir} holds usage of another log. Start with the database that it belongs to, or move the folder away.`,
  );
}

/** Notes the owner, once the log has begun. */
export async function noteSpoolOwner(dir: string, store: Pick<EventStore, 'readLog'>): Promise<void> {
  const hash = await firstHash(store);
  if (hash === null || hash === ownerOf(dir)) return;
  writeFileSync(dir + SUFFIX, hash);
}

function ownerOf(dir: string): string | null {
  try {
    return readFileSync(dir + SUFFIX, 'utf8');
  } catch {
    return null;
  }
}

async function firstHash(store: Pick<EventStore, 'readLog'>): Promise<string | null> {
  for await (const { hash } of store.readLog(0n)) return hash;
  return null;
}
