import type { SimulatedCall } from '../../src/demo/simulated-stats.ts';
import { nanosFromNumber } from '../../src/domain/money.ts';
import type { Rates, SpendRecorded, Usage } from '../../src/domain/spend.ts';
import type { Observation } from './clients.ts';

/**
 * Compares four independent accounts of the same requests: what the clients received, what the
 * upstream produced, what the log says, and what the read models say. Pure.
 */
export interface Evidence {
  readonly observations: readonly Observation[];
  readonly calls: readonly SimulatedCall[];
  /** Every spend event of the log. */
  readonly spends: readonly Spend[];
  /** What `/key/info` says, in euros, by key. */
  readonly keySpend: ReadonlyMap<string, number>;
  /** Sums of the read model `usage` by tenant, in nanos. */
  readonly tenantUsage: ReadonlyMap<string, bigint>;
  /** Names of what is left in the spool after an orderly end. */
  readonly spoolFiles: readonly string[];
  /** For how long the disk let nobody sync; answers wait for it. */
  readonly longestSyncMs: number;
}

/** A disk that stands still for this long is why clients got no answer in time. */
const DISK_MS_MAX = 5_000;

export interface Spend {
  readonly eventId: string;
  readonly tenantId: string | null;
  readonly data: SpendRecorded['data'];
}

/** One sentence per broken promise; none when all were kept. */
export function judge(evidence: Evidence): readonly string[] {
  const { observations, calls, spends } = evidence;
  const broken: string[] = [];
  const byMarker = new Map<string, Spend[]>();
  for (const spend of spends) {
    const marker = spend.data.endUser ?? '';
    byMarker.set(marker, [...(byMarker.get(marker) ?? []), spend]);
  }
  // A call whose connection broke before anything was delivered is repeated; the last one counts.
  const callByMarker = new Map(calls.map((call) => [call.user ?? '', call]));
  const observed = new Map(observations.map((one) => [one.marker, one]));
  const say = (marker: string, what: string): void => {
    const facts = {
      client: factsOf(observed.get(marker)),
      upstream: callByMarker.get(marker),
      log: byMarker.get(marker)?.map(shortly),
    };
    broken.push(`${marker}: ${what} ${JSON.stringify(facts)}`);
  };
  if (new Set(spends.map(({ eventId }) => eventId)).size !== spends.length)
    broken.push('an event id is in the log twice');
  for (const [marker, sharing] of byMarker) {
    if (sharing.length > 1) say(marker, `is recorded ${sharing.length} times`);
    if (!observed.has(marker)) say(marker, 'is recorded, and no client sent it');
  }
  for (const { user } of calls) {
    if (!byMarker.has(user ?? '')) say(user ?? '', 'reached the upstream and is not recorded');
  }
  for (const one of observations) {
    const spend = byMarker.get(one.marker)?.[0];
    if (one.end === 'silent' && evidence.longestSyncMs < DISK_MS_MAX) say(one.marker, 'never got an answer');
    for (const what of problemsOf(one, callByMarker.get(one.marker), spend)) say(one.marker, what);
  }
  return [...broken, ...sumProblems(evidence)];
}

function problemsOf(
  one: Observation,
  call: SimulatedCall | undefined,
  spend: Spend | undefined,
): readonly string[] {
  const problems: string[] = [];
  if (spend === undefined) {
    if (one.end === 'whole' || one.tokens > 0) problems.push('was delivered and is not recorded');
    return problems;
  }
  const { outcome, usage, usageSource, priceNanos, keyId } = spend.data;
  if (keyId !== one.customer.keyId) problems.push('is charged to another key');
  if (spend.tenantId !== one.customer.tenantId) problems.push('is charged to another tenant');
  if (priceNanos !== priceOf(usage, one.customer.rates))
    problems.push(`costs ${priceNanos} instead of ${priceOf(usage, one.customer.rates)}`);
  if (one.end === 'whole' && outcome !== 'completed')
    problems.push(`was received in full and is recorded as ${outcome}`);
  if (outcome === 'completed') {
    const { promptTokens, completionTokens } = call ?? { promptTokens: -1, completionTokens: -1 };
    if (
      usageSource !== 'reported' ||
      usage.inputTokens !== promptTokens ||
      usage.outputTokens !== completionTokens
    )
      problems.push('is not recorded with the usage that the upstream reported');
    if (
      one.usage !== null &&
      (one.usage.prompt !== usage.inputTokens || one.usage.completion !== usage.outputTokens)
    )
      problems.push('is not recorded with the usage that the client was told');
    return problems;
  }
  if (usage.outputTokens < one.tokens)
    problems.push(`is charged ${usage.outputTokens} tokens of ${one.tokens} that arrived`);
  if (usage.outputTokens > one.maxTokens)
    problems.push(`is charged more than the worst case of ${one.maxTokens} tokens`);
  if (priceNanos > 0n && usage.inputTokens !== call?.promptTokens)
    problems.push('is charged for another prompt');
  if (priceNanos > 0n && (call?.completionTokens ?? 0) === 0)
    problems.push('never began and costs something');
  if (priceNanos > 0n && (!one.stream || one.end === 'refused'))
    problems.push('was not delivered and costs something');
  return problems;
}

/** Nanos, without the code that is being tested. */
function priceOf({ inputTokens, cachedInputTokens, outputTokens }: Usage, rates: Rates): bigint {
  return (
    BigInt(inputTokens - cachedInputTokens) * rates.input +
    BigInt(cachedInputTokens) * rates['cached-input'] +
    BigInt(outputTokens) * rates.output
  );
}

function sumProblems({
  observations,
  spends,
  keySpend,
  tenantUsage,
  spoolFiles,
}: Evidence): readonly string[] {
  const problems: string[] = [];
  const ofKeys = new Map<string, bigint>();
  const ofTenants = new Map<string, bigint>();
  for (const { tenantId, data } of spends) {
    ofKeys.set(data.keyId, (ofKeys.get(data.keyId) ?? 0n) + data.priceNanos);
    ofTenants.set(tenantId ?? '', (ofTenants.get(tenantId ?? '') ?? 0n) + data.priceNanos);
  }
  for (const keyId of new Set(observations.map(({ customer }) => customer.keyId))) {
    const nanos = ofKeys.get(keyId) ?? 0n;
    if (nanosFromNumber(keySpend.get(keyId) ?? 0) !== nanos)
      problems.push(`/key/info says ${keySpend.get(keyId)} of ${keyId}, the log ${nanos} nanos`);
  }
  for (const tenantId of new Set([...ofTenants.keys(), ...tenantUsage.keys()])) {
    const [log, model] = [ofTenants.get(tenantId) ?? 0n, tenantUsage.get(tenantId) ?? 0n];
    if (log !== model)
      problems.push(`the read model usage has ${model} nanos of ${tenantId}, the log ${log}`);
  }
  if (spoolFiles.length > 0) problems.push(`left in the spool: ${spoolFiles.join(', ')}`);
  return problems;
}

function factsOf(one: Observation | undefined): object | null {
  if (one === undefined) return null;
  const { end, status, stream, tokens, maxTokens } = one;
  return { end, status, stream, tokens, maxTokens };
}

function shortly({ data }: Spend): object {
  const { requestId, outcome, status, usageSource, usage, priceNanos, durationMs, firstByteMs } = data;
  return {
    requestId,
    outcome,
    status,
    usageSource,
    usage,
    priceNanos: String(priceNanos),
    durationMs,
    firstByteMs,
  };
}
