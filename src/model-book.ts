import type { models } from '../projections/models.ts';
import type { Deployment } from './domain/deployment.ts';
import type { JsonObject } from './domain/json.ts';
import type { Log } from './log.ts';
import type { MemoryTable } from './memory-table.ts';
import type { CredentialSeal } from './model-credentials.ts';
import { readModel } from './model-params.ts';
import type { SeedCosts } from './price-library.ts';
import type { RowIn } from './projection.ts';

/** What can be served now: the configured deployments and the models that were added since. */
export interface ModelBook {
  /** The same array as long as nothing has changed. */
  current(): readonly Deployment[];
}

export interface ModelBookOptions {
  readonly configured: readonly Deployment[];
  readonly table: MemoryTable<typeof models>;
  readonly seal: CredentialSeal;
  /** For models that do not say where they are served. */
  readonly upstreamBaseUrl: string | undefined;
  /** Gives costs to deployments that state none. */
  readonly seed: SeedCosts;
  readonly log: Log;
}

export function createModelBook(options: ModelBookOptions): ModelBook {
  const { table, log, seed } = options;
  const configured = options.configured.map(seed);
  // A row that changes is another object: a deployment stays the same for as long as its model does.
  const known = new WeakMap<RowIn<typeof models>, Deployment | null>();
  let seen = -1;
  let all: readonly Deployment[] = configured;

  function deploymentOf(row: RowIn<typeof models>): Deployment | null {
    let deployment = known.get(row);
    if (deployment === undefined) {
      deployment = readRow(options, row);
      known.set(row, deployment);
    }
    return deployment;
  }

  return {
    current() {
      if (table.changes !== seen) {
        seen = table.changes;
        const rows = [...table.rows()].toSorted(
          (a, b) => compare(a.created_at, b.created_at) || compare(a.model_id, b.model_id),
        );
        all = [...configured, ...rows.map(deploymentOf).filter((one) => one !== null)];
        log.debug({ models: all.length }, 'the models were read');
      }
      return all;
    },
  };
}

/** Null, with a line in the log, for a model that cannot be served here. */
function readRow(
  { seal, upstreamBaseUrl, seed, log }: ModelBookOptions,
  row: RowIn<typeof models>,
): Deployment | null {
  const { model_id: id, name, sealed } = row;
  try {
    const secret = sealed === null ? {} : seal.open(id, sealed);
    const params = { ...(row.params as JsonObject), ...secret };
    const read = readModel({ id, name, params, info: row.info as JsonObject }, upstreamBaseUrl);
    if ('deployment' in read) return seed(read.deployment);
    log.error({ model: id, problems: read.problems }, 'a model cannot be served');
  } catch (error) {
    log.error({ model: id, err: error }, 'a model cannot be served');
  }
  return null;
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
