import type { Routing } from '../domain/routing.ts';
import type { EventStore } from '../store/event-store.ts';
import type { InstallationLimits } from './caller-levels.ts';
import type { DeploymentProviders } from './deployment-providers.ts';
import type { FailureLog } from './drain.ts';
import type { KeyTables } from './key-table.ts';
import type { SpentSince } from './ledger-question.ts';
import type { SubjectTables } from './named-subjects.ts';
import type { Deployments } from './router.ts';
import type { UpstreamTimeouts } from './upstream.ts';

/** What the gateway is built from. */
export interface GatewayDeps {
  readonly store: Pick<EventStore, 'append'>;
  /** New for every start of the process: part of the names of its spend streams. */
  readonly writerId: string;
  readonly tables: KeyTables & SubjectTables;
  readonly deployments: Deployments;
  readonly routing?: Routing;
  readonly masterKey: string;
  /** The agency's own tenant: what the master key spends is recorded under it. */
  readonly ownTenantId: string;
  /** Limits of the whole installation; null when there are none. */
  readonly installation: InstallationLimits | null;
  readonly spentSince: SpentSince;
  /** Needed where providers have budgets. */
  readonly providers?: DeploymentProviders;
  /** Lower-case name of the header that carries the key instead of the usual ones; null for those. */
  readonly keyHeader: string | null;
  readonly budgetExceededStatus: number;
  readonly bodyBytesMax: number;
  /** Largest upload, and how much of one is held while its model is not known. */
  readonly fileBytesMax?: number;
  /** Folder of the spool; this process's own. */
  readonly spoolDir: string;
  /** Spend that waits for the log before new requests are refused. */
  readonly spendWaitingMax: number;
  /** How long answers go on while the log cannot be reached. */
  readonly outageMsMax: number;
  /** For the x-litellm-version header. */
  readonly version: string;
  readonly log: FailureLog;
  /** Milliseconds since 1970. */
  readonly wallMs: () => number;
  /** Milliseconds of a clock that never goes back. */
  readonly monotonicMs: () => number;
  readonly newId: () => string;
  /** From 0 to less than 1. */
  readonly random: () => number;
  readonly timeouts?: Partial<UpstreamTimeouts>;
  readonly spendGatherMs?: number;
}
