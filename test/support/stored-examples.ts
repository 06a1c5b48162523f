/** The stored examples under test/events: one per event type and payload version, never edited. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { canonicalJson } from '../../src/domain/json.ts';
import type { Placed } from '../../src/store/stored-event.ts';

export interface StoredExample {
  readonly type: string;
  readonly version: number;
  readonly placed: Placed;
}

const FOLDER = join(import.meta.dirname, '..', 'events');

export function storedExamples(): StoredExample[] {
  return readdirSync(FOLDER).map((file) => {
    const [, type, version] = /^([a-z.-]+)\.v(\d+)\.json$/.exec(file) ?? [];
    if (type === undefined) throw new Error(`${file} should be named <type>.v<version>.json`);
    return { type, version: Number(version), placed: readExample(join(FOLDER, file)) };
  });
}

/** In a file, whole numbers of any size are strings, and what is stored as text is laid out to be read. */
function readExample(path: string): Placed {
  const { position, revision, actor, data, ...rest } = JSON.parse(readFileSync(path, 'utf8'));
  return {
    ...rest,
    position: BigInt(position),
    revision: BigInt(revision),
    actor: canonicalJson(actor),
    data: canonicalJson(data),
  };
}
