import { createWriteStream } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { once } from 'node:events';
import { finished } from 'node:stream/promises';
import { exportBundle, type ExportProgress } from '../audit/export.ts';
import { resolveScope, type ScopeRequest } from '../audit/export-scope.ts';
import type { Installation } from '../installation.ts';
import { type CommandContext, usage, withInstallation } from './context.ts';
import { withReadModels } from './read-models.ts';

const USAGE =
  'audit export --all | --tenant <id> | --key <id> | --invoice <number> [--agency <id>] [--out <file>]';

/** Exports the log, or what concerns one tenant, key or invoice, as JSON lines with proofs. */
export async function auditExport(context: CommandContext): Promise<number> {
  const request = requestOf(context);
  if (request === null) return usage(context, USAGE);
  return withInstallation(context, (installation) =>
    // The read models say which months were closed and which projects are whose.
    request.kind === 'all'
      ? write(context, installation, request)
      : withReadModels(context, installation, () => write(context, installation, request)),
  );
}

function requestOf({ options }: CommandContext): ScopeRequest | null {
  const { all, tenant, key, invoice, agency } = options;
  const requests: ScopeRequest[] = [
    ...(all ? [{ kind: 'all' } as const] : []),
    ...(tenant === undefined ? [] : [{ kind: 'tenant', id: tenant } as const]),
    ...(key === undefined ? [] : [{ kind: 'key', id: key } as const]),
    ...(invoice === undefined ? [] : [{ kind: 'invoice', number: invoice, agencyId: agency } as const]),
  ];
  return requests.length === 1 ? requests[0]! : null;
}

async function write(
  context: CommandContext,
  { store, database }: Installation,
  request: ScopeRequest,
): Promise<number> {
  const deps = { store, pool: database.pool, now: () => new Date().toISOString() };
  const scope = await resolveScope(deps, request);
  if (scope === null) {
    context.say('There is no such thing.');
    return 1;
  }
  const { out } = context.options;
  const onProgress = ({ events, position, head }: ExportProgress): void =>
    context.progress(`event ${events}, position ${position} of ${head}`);
  if (out === undefined) {
    await exportBundle(deps, { scope, put: context.put, onProgress });
    context.progress('');
    return 0;
  }
  const footer = await toFile(out, (put) => exportBundle(deps, { scope, put, onProgress }));
  context.progress('');
  const { events, proofs, records, sha256 } = footer;
  context.say(`wrote ${out}: ${events} events, ${proofs} proofs, ${records} records, sha256 ${sha256}`);
  return 0;
}

/** The file appears under its name when all of it is written. */
async function toFile<T>(
  path: string,
  task: (put: (text: string) => Promise<void>) => Promise<T>,
): Promise<T> {
  const draft = `${path}.part`;
  const file = createWriteStream(draft, { mode: 0o600 });
  const ended = finished(file);
  ended.catch(() => undefined);
  try {
    const result = await task(async (text) => {
      if (file.errored !== null) throw file.errored;
      if (!file.write(text)) await Promise.race([once(file, 'drain'), ended]);
    });
    file.end();
    await ended;
    await rename(draft, path);
    return result;
  } catch (error) {
    file.destroy();
    await rm(draft, { force: true });
    throw error;
  }
}
