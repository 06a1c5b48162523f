/** The simulated upstream's own books: what it served, for whom, and how each request ended. */
import { createHash } from 'node:crypto';
import type { Exchange } from './simulated-delivery.ts';
import type { Fault } from './simulated-faults.ts';

export interface SimulatedStats {
  /** Completions and embeddings that are not over yet. */
  readonly inFlight: number;
  readonly requests: {
    /** Sent to the end, with whatever usage; the tokens below are theirs. */
    readonly answered: number;
    readonly refused: number;
    /** Ended by a fault. */
    readonly faulted: number;
    /** Ended by the client. */
    readonly aborted: number;
  };
  readonly promptTokens: number;
  readonly completionTokens: number;
  /** What had been produced for faulted and aborted requests until they ended. */
  readonly abandoned: { readonly promptTokens: number; readonly completionTokens: number };
  /** How often each kind of fault was applied. */
  readonly faults: Readonly<Record<string, number>>;
  readonly redirectsFollowed: number;
  /** By `apiKeyDigest` of every key seen, 'none' for requests without one. */
  readonly apiKeys: Readonly<Record<string, KeyStats>>;
}

export interface KeyStats {
  readonly requests: number;
  readonly promptTokens: number;
  readonly completionTokens: number;
}

/** One completion or embedding that was asked for, as it ended. */
export interface SimulatedCall {
  /** From the request; null when it named nobody. */
  readonly user: string | null;
  readonly outcome: 'answered' | 'faulted' | 'aborted';
  /** Produced until it ended, whether or not it arrived. */
  readonly promptTokens: number;
  readonly completionTokens: number;
}

export interface Ledger {
  readonly begin: (exchange: Exchange, authorization: string | undefined, fault: Fault['kind']) => void;
  readonly refused: () => void;
  readonly redirectFollowed: () => void;
  readonly stats: () => SimulatedStats;
  /** Calls that are over, oldest first; as many as are kept. */
  readonly calls: () => readonly SimulatedCall[];
}

type Writable<T> = { -readonly [K in keyof T]: T[K] extends object ? Writable<T[K]> : T[K] };

/** Keys whose digest is remembered: drawing one costs more than the rest of a request. */
const DIGESTS_MAX = 10_000;

/** How `stats().apiKeys` names a key. The key itself is not kept in the books. */
export function apiKeyDigest(apiKey: string): string {
  return digest(`Bearer ${apiKey}`);
}

export function openLedger(callsMax = 0): Ledger {
  const stats: Writable<SimulatedStats> = {
    inFlight: 0,
    requests: { answered: 0, refused: 0, faulted: 0, aborted: 0 },
    promptTokens: 0,
    completionTokens: 0,
    abandoned: { promptTokens: 0, completionTokens: 0 },
    faults: {},
    redirectsFollowed: 0,
    apiKeys: {},
  };
  const digests = new Map<string, string>();
  const calls: SimulatedCall[] = [];

  function keyStatsOf(authorization: string | undefined): Writable<KeyStats> {
    let name = authorization === undefined ? 'none' : digests.get(authorization);
    if (name === undefined) {
      name = digest(authorization ?? '');
      if (digests.size < DIGESTS_MAX) digests.set(authorization ?? '', name);
    }
    return (stats.apiKeys[name] ??= { requests: 0, promptTokens: 0, completionTokens: 0 });
  }

  function end(exchange: Exchange, keyStats: Writable<KeyStats>): void {
    const { response, ready, spoiled, promptTokens, completionTokens } = exchange;
    const outcome = spoiled ? 'faulted' : response.writableFinished ? 'answered' : 'aborted';
    stats.inFlight -= 1;
    stats.requests[outcome] += 1;
    if (calls.length < callsMax)
      calls.push({ user: ready.answer.user, outcome, promptTokens, completionTokens });
    for (const totals of outcome === 'answered' ? [stats, keyStats] : [stats.abandoned]) {
      totals.promptTokens += promptTokens;
      totals.completionTokens += completionTokens;
    }
  }

  return {
    begin: (exchange, authorization, fault) => {
      stats.inFlight += 1;
      if (fault !== 'none') stats.faults[fault] = (stats.faults[fault] ?? 0) + 1;
      const keyStats = keyStatsOf(authorization);
      keyStats.requests += 1;
      exchange.response.on('close', () => end(exchange, keyStats));
    },
    refused: () => {
      stats.requests.refused += 1;
    },
    redirectFollowed: () => {
      stats.redirectsFollowed += 1;
    },
    stats: () => structuredClone(stats),
    calls: () => calls,
  };
}

function digest(authorization: string): string {
  return createHash('sha256').update(authorization).digest('hex').slice(0, 16);
}
