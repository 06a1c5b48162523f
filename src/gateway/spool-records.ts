import { canonicalJson, quote } from '../domain/json.ts';
import { type Quantities, type Rates, type SpendRecorded, UNITS } from '../domain/spend.ts';
import type { Actor, Cause, NewEvent } from '../events.ts';
import { entries } from '../store/event-schemas.ts';
import type { StreamHead } from '../store/event-store.ts';
import { eventId } from '../transact.ts';

/** The texts of the gateway's spool (spool.ts): one JSON object each, told apart by `kind`. */

/** A spend event without what follows from the writer and the request. */
export type SpendToRecord = Omit<Cause, 'causationId'> & {
  readonly occurredAt: string;
  readonly data: SpendRecorded['data'];
};

/** What a cut-off answer is charged by, where bytes of it may have gone out. */
export interface Estimate {
  readonly inputTokens: number;
  /** All choices together; more is never charged. */
  readonly outputTokensMax: number;
  readonly prices: Rates;
  readonly costs: Rates;
  /** Other units that are charged once anything went out. */
  readonly units?: Quantities;
}

/** What is known of a request when the upstream is called. */
export interface Intent
  extends Omit<Cause, 'causationId'>,
    Pick<
      SpendRecorded['data'],
      | 'requestId'
      | 'admittedAt'
      | 'month'
      | 'keyId'
      | 'tokenHash'
      | 'projectId'
      | 'userId'
      | 'endUser'
      | 'tags'
      | 'route'
      | 'model'
      | 'deployment'
      | 'stream'
      | 'currency'
    > {
  readonly occurredAt: string;
  /** Null when nothing of the answer goes out before all of it is settled. */
  readonly estimate: Estimate | null;
}

export type SpoolRecord =
  /** First in every segment: where the writer's streams stood when it began. */
  | { readonly kind: 'segment'; readonly heads: ReadonlyMap<string, StreamHead> }
  /** The upstream is about to be called. */
  | { readonly kind: 'intent'; readonly intent: Intent }
  /** So many completion tokens of a stream may have gone out. */
  | { readonly kind: 'delivery'; readonly requestId: string; readonly tokens: number }
  /** How the request ended. */
  | { readonly kind: 'spend'; readonly spend: SpendToRecord };

export function segmentText(heads: ReadonlyMap<string, StreamHead>): string {
  const list = [...heads].map(([stream, { revision, hash }]) => [stream, String(revision), hash]);
  return JSON.stringify({ kind: 'segment', heads: list });
}

export function intentText(intent: Intent): string {
  const { estimate, requestId, correlationId, occurredAt, admittedAt, month, endUser, tags, stream } = intent;
  return (
    `{"kind":"intent","requestId":${quote(requestId)},"correlationId":${quote(correlationId)},"occurredAt":"${occurredAt}"` +
    `,"admittedAt":"${admittedAt}","month":"${month}","endUser":${endUser === null ? 'null' : quote(endUser)}` +
    `,"tags":${tags.length === 0 ? '[]' : JSON.stringify(tags)},"stream":${stream}` +
    `,"estimate":${estimate === null ? 'null' : canonicalJson(estimate)},${fixedText(intent)}}`
  );
}

interface Fixed extends Pick<Intent, 'tokenHash' | 'route' | 'model' | 'deployment' | 'currency'> {
  readonly text: string;
}

/** What the requests of a caller have in common, most of the time. A caller has the same actor object for all of them. */
const fixedTexts = new WeakMap<Actor, Fixed>();

function fixedText(intent: Intent): string {
  const { actor, tokenHash, route, model, deployment, currency } = intent;
  const known = fixedTexts.get(actor);
  const same =
    known?.tokenHash === tokenHash &&
    known.route === route &&
    known.model === model &&
    known.deployment === deployment &&
    known.currency === currency;
  if (same) return known.text;
  const { agencyId, tenantId, keyId, projectId, userId } = intent;
  const ids = { agencyId, tenantId, actor, keyId, projectId, userId };
  const text = JSON.stringify({ ...ids, tokenHash, route, model, deployment, currency }).slice(1, -1);
  fixedTexts.set(actor, { tokenHash, route, model, deployment, currency, text });
  return text;
}

export function deliveryText(requestId: string, tokens: number): string {
  return JSON.stringify({ kind: 'delivery', requestId, tokens });
}

/** `json` is the payload's canonical JSON. */
export function spendText(spend: SpendToRecord, json: string): string {
  return `{"kind":"spend",${envelope(spend)},"data":${json}}`;
}

function envelope({ agencyId, tenantId, actor, correlationId, occurredAt }: SpendToRecord): string {
  return (
    `"agencyId":${quote(agencyId)},"tenantId":${tenantId === null ? 'null' : quote(tenantId)}` +
    `,"actor":${actorText(actor)},"correlationId":${quote(correlationId)},"occurredAt":"${occurredAt}"`
  );
}

/** A caller has the same object for all its requests. */
const actorTexts = new WeakMap<Actor, string>();

function actorText(actor: Actor): string {
  let text = actorTexts.get(actor);
  if (text === undefined) actorTexts.set(actor, (text = JSON.stringify(actor)));
  return text;
}

/** Reads a text that this build or an earlier one has written. Throws for any other. */
export function readRecord(text: string): SpoolRecord {
  const json = JSON.parse(text) as Stored;
  switch (json.kind) {
    case 'segment':
      return { kind: 'segment', heads: new Map(json.heads.map(readHead)) };
    case 'intent': {
      const { kind, ...intent } = json;
      return { kind, intent: readIntent(intent) };
    }
    case 'delivery':
      return json;
    case 'spend':
      return { kind: 'spend', spend: readSpend(json) };
    default:
      throw new Error(
        `this build does not know the spool record ${String((json as { kind: unknown }).kind)}`,
      );
  }
}

interface StoredSpend extends Omit<SpendToRecord, 'data'> {
  readonly data: unknown;
}
interface StoredEstimate extends Pick<Estimate, 'inputTokens' | 'outputTokensMax' | 'units'> {
  readonly prices: Readonly<Partial<Record<keyof Rates, string>>>;
  readonly costs: Readonly<Partial<Record<keyof Rates, string>>>;
}
interface StoredIntent extends Omit<Intent, 'estimate'> {
  readonly kind: 'intent';
  readonly estimate: StoredEstimate | null;
}
type Stored =
  | { readonly kind: 'segment'; readonly heads: readonly (readonly [string, string, string])[] }
  | StoredIntent
  | Extract<SpoolRecord, { kind: 'delivery' }>
  | ({ readonly kind: 'spend' } & StoredSpend);

function readHead([stream, revision, hash]: readonly [string, string, string]): [string, StreamHead] {
  return [stream, { revision: BigInt(revision), hash }];
}

function readSpend({
  agencyId,
  tenantId,
  actor,
  correlationId,
  occurredAt,
  data,
}: StoredSpend): SpendToRecord {
  const read = entries['spend.recorded'].read.parse(data);
  return { agencyId, tenantId, actor, correlationId, occurredAt, data: read };
}

function readIntent({ estimate, ...intent }: Omit<StoredIntent, 'kind'>): Intent {
  return { ...intent, estimate: estimate === null ? null : readEstimate(estimate) };
}

function readEstimate({ prices, costs, ...counted }: StoredEstimate): Estimate {
  return { ...counted, prices: readRates(prices), costs: readRates(costs) };
}

function readRates(rates: StoredEstimate['prices']): Rates {
  const known = UNITS.filter((unit) => rates[unit] !== undefined);
  return Object.fromEntries(known.map((unit) => [unit, BigInt(rates[unit]!)])) as unknown as Rates;
}

/** The stream that a request's spend belongs to: one writer, so that the writer always knows its head. */
export function spendStream(writerId: string, { data }: SpendToRecord): string {
  return `spend-${data.month}-${writerId}`;
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** The event of a spend; the same whenever it is made again, since no two requests share an id. `json`: the payload's canonical JSON, where it is known. */
export function spendEvent(stream: string, spend: SpendToRecord, json?: string): NewEvent<SpendRecorded> {
  const { data, agencyId, tenantId, actor, correlationId, occurredAt } = spend;
  const { requestId } = data;
  return {
    id: UUID.test(requestId) ? requestId : eventId(stream, requestId, 0),
    agencyId,
    tenantId,
    actor,
    correlationId,
    causationId: requestId,
    occurredAt,
    commandHash: null,
    event: { type: 'spend.recorded', data },
    ...(json === undefined ? {} : { json }),
  };
}
