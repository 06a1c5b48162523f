import type { FastifyServerFactory } from 'fastify';
import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import type { Kysely } from 'kysely';
import type { Json, JsonObject } from '../domain/json.ts';
import type { CustomKeyGenerate } from '../custom-modules.ts';
import type { Terms } from '../domain/plan.ts';
import type { Usage } from '../domain/spend.ts';
import type { Actor } from '../events.ts';
import type { KeyPolicySettings } from '../litellm-keys.ts';
import type { Log } from '../log.ts';
import type { Metric } from '../metrics.ts';
import type { CredentialSeal } from '../model-credentials.ts';
import type { RowScope } from '../scoped-reads.ts';
import type { EventStore } from '../store/event-store.ts';
import type { AlertDesk } from './alert-desk.ts';
import type { BillingDesk } from './billing-desk.ts';
import type { CollectionDesk } from './collection-desk.ts';
import type { KeyFields } from './key-fields.ts';
import type { LiveHub } from './live-hub.ts';
import type { Tables } from './read.ts';

/**
 * What the admin API needs from the rest of the program, and nothing more. Invoice runs, replays
 * and the state of the process come in as functions, because the folders at the edge never import
 * each other.
 */
export interface HttpDeps {
  readonly store: EventStore;
  readonly db: Kysely<Tables>;
  /** The same for callers who are bound to some tenants: the rows that PostgreSQL shows them, and no others. */
  readonly dbWithin: (scope: RowScope) => Kysely<Tables>;
  /** True where `db` is one of those. */
  readonly isBound?: true;
  /** ISO instant, UTC, milliseconds. */
  readonly now: () => string;
  /** Resolves when every read model and the gateway's own tables have applied the position. */
  readonly settled: (position: bigint) => Promise<void>;
  /** Highest position that this process has appended; 0 before the first. */
  readonly appendedPosition: () => bigint;
  /** Runs a task while no other process has claimed the same name; what those have written is in the read models then. */
  readonly claimName: <T>(name: string, task: () => Promise<T>) => Promise<T>;
  /** Takes the spend of every request that was answered so far, here or by another process, to the log. */
  readonly recorded: () => Promise<unknown>;
  /** Resolves when every other process decides by the position, too; left out where there can be no other. */
  readonly everywhere?: (position: bigint) => Promise<void>;
  readonly masterKey: string;
  /** What the administrator signs in to the console with. */
  readonly console: { readonly username: string; readonly password: string };
  /** Folder of the built console; null when there is none. */
  readonly consoleDir: string | null;
  /** From it follow the secrets that a repeated request gets again. */
  readonly serverSecret: string;
  /** Where keys without a project belong. */
  readonly ownTenant: { readonly agencyId: string; readonly tenantId: string };
  /** Lower-case header that replaces the usual credential headers; null for the usual ones. */
  readonly keyHeader: string | null;
  /** What the installation says about keys. */
  readonly keyPolicy: KeyPolicy;
  readonly version: string;
  readonly log: Log;
  /** What the gateway can serve; several deployments may share a public name. */
  readonly models: () => readonly ServedModel[];
  /** How credentials of upstreams are kept. */
  readonly credentials: CredentialSeal;
  /** Where models are served that do not say it themselves. */
  readonly upstreamBaseUrl: string | undefined;
  /** What a request with this usage would be charged; null for unknown models. */
  readonly quote: (terms: Terms | null, model: string, usage: Usage) => bigint | 'unpriced' | null;
  /** What providers that have a budget were paid in its current window, nanos. */
  readonly providerSpends: () => Promise<
    readonly {
      readonly provider: string;
      readonly budget: { readonly nanos: bigint; readonly window: string };
      readonly endsAt: string;
      readonly nanos: bigint;
    }[]
  >;
  readonly status: () => HealthFacts;
  readonly metrics: () => readonly Metric[];
  readonly runInvoices: RunInvoices;
  readonly billing: BillingDesk;
  readonly collection: CollectionDesk;
  readonly alerts: AlertDesk;
  readonly replay: Replay;
  readonly replayTenant: Replay;
  /** What differs between two moments of a key or a tenant. */
  readonly diff: Diff;
  readonly diffTenant: Diff;
  /** The keys that the log is sealed with; null before it has one. */
  readonly publicKeys: () => Promise<Json>;
  readonly verification: VerificationDesk;
  readonly bundles: BundleDesk;
  /** Addresses and networks whose `X-Forwarded-*` says who is there; [] believes nobody. */
  readonly trustedProxies: readonly string[];
  /** Tells consoles that something has changed. */
  readonly live: LiveHub;
  /** Largest request body in bytes. */
  readonly bodyBytesMax: number;
  /** Makes the node:http server around the handler, so that the gateway can stand in front of it. */
  readonly serverFactory?: FastifyServerFactory;
}

/** What the config file says about keys, checked; key-policy.ts applies it. */
export interface KeyPolicy extends Omit<KeyPolicySettings, 'defaults' | 'customGenerate' | 'customAuth'> {
  readonly defaults: KeyFields;
  readonly decide: CustomKeyGenerate | null;
}

/** What is exported: see the audit folder. */
export type BundleRequest =
  | { readonly kind: 'all' }
  | { readonly kind: 'tenant' | 'key'; readonly id: string }
  | { readonly kind: 'invoice'; readonly number: string; readonly agencyId: string | undefined };

export interface BundleDesk {
  /** Null when there is no such thing; else what writes the bundle, line by line. */
  open(request: BundleRequest): Promise<((put: (line: string) => Promise<void>) => Promise<void>) | null>;
}

/** One verification of the log at a time; see the audit folder. */
export interface VerificationDesk {
  /** Starts one unless one is at work in any process. */
  start(): Promise<void>;
  state(): Promise<{
    readonly status: 'none' | 'running' | 'done' | 'failed';
    readonly started_at: string | null;
    readonly part: string | null;
    readonly done: number;
    readonly total: number;
    readonly report: {
      readonly ok: boolean;
      readonly head: string;
      readonly sealedTo: string | null;
      readonly newestSeal: string | null;
      readonly events: number;
      readonly streams: number;
      readonly durationMs: number;
      readonly checks: readonly {
        readonly name: string;
        readonly ok: boolean;
        readonly detail: string;
        readonly at: readonly { readonly position: string | null; readonly problem: string }[];
        readonly problems: number;
      }[];
    } | null;
  }>;
  seals(max: number): Promise<
    readonly {
      readonly position: string;
      readonly recorded_at: string;
      readonly covers_to: string;
      readonly hash: string;
      readonly key_id: string;
    }[]
  >;
}

/** Where the routes of one family are registered. */
export type App = Parameters<FastifyPluginCallbackZod>[0];

export interface ServedModel {
  /** May be a pattern such as `openai/*`. */
  readonly publicName: string;
  /** Id of the deployment. */
  readonly id: string;
  /** What the upstream calls it; null passes the requested name on. */
  readonly upstreamModel: string | null;
  readonly baseUrl: string;
  readonly maxOutputTokens: number;
  readonly requestsPerMinute?: number | undefined;
  readonly tokensPerMinute?: number | undefined;
  /** Its flat fee per month, nanos; left out: none. */
  readonly monthlyCostNanos?: bigint | undefined;
}

export interface HealthFacts {
  /** Newest position of the log that this process knows. */
  readonly head: bigint;
  /** How long ago the tables that the gateway decides by were last known to hold everything; Infinity before. */
  readonly keyTableAgeMs: number;
  readonly projections: readonly ProjectionHealth[];
  readonly deployments: readonly DeploymentHealth[];
  /** Requests that the gateway is serving right now. */
  readonly inFlight: number;
}

export interface ProjectionHealth {
  readonly name: string;
  readonly position: bigint;
  /** Why it stopped; null while it runs. */
  readonly error: string | null;
}

export interface DeploymentHealth {
  readonly id: string;
  readonly publicName: string;
  readonly healthy: boolean;
  /** Why it is left out at the moment, without addresses or credentials; null when healthy. */
  readonly problem: string | null;
  /** As this process has measured it; null before the first answer. */
  readonly latencyMs: number | null;
  /** For how long it is still left alone; null when it is not. */
  readonly cooldownMs: number | null;
}

/** Closes the period of one agency and finalises its invoices. Safe to repeat. */
export type RunInvoices = (request: {
  /** `YYYY-MM`. */
  readonly period: string;
  readonly agencyId: string;
  readonly actor: Actor;
  readonly correlationId: string;
  /** True: only says what that would come to. */
  readonly dryRun: boolean;
}) => Promise<InvoiceRunReport>;

/** Amounts and positions are decimal strings. */
export interface InvoiceRunReport {
  readonly agency_id: string;
  readonly currency: string;
  /** The cut: spend at or before it is on invoices up to this period. Null in a dry run of an open period. */
  readonly closed_position: string | null;
  /** Everything that the run wrote is at or before it. */
  readonly position: string;
  readonly invoices: readonly {
    readonly tenant_id: string;
    readonly invoice_id: string;
    readonly status: 'finalized' | 'repeated' | 'cancelled' | 'skipped' | 'failed' | 'planned';
    readonly number: string | null;
    readonly net: string | null;
    readonly tax: string | null;
    readonly gross: string | null;
    readonly error: { readonly reason: string; readonly message: string } | null;
  }[];
}

/** A position or an instant of recording, inclusive. */
export type Moment = bigint | string;

/** What a replay is about; the rest is answered as it is. */
export type Replayed = { readonly agency_id: string; readonly tenant_id: string } & JsonObject;

/**
 * Replays a key or a tenant from the log, up to a moment; null for everything. A key may be named by
 * its id, token hash or alias. Null when there never was such a thing.
 */
export type Replay = (name: string, at: Moment | null) => Promise<Replayed | null>;

export type Diff = (name: string, from: Moment, to: Moment | null) => Promise<Replayed | null>;
