/** What a key, a project or a whole contract may use. Null means unlimited everywhere. */
export interface Limits {
  /** Whole requests in any 60 seconds. */
  readonly requestsPerMinute: number | null;
  /** Prompt and completion tokens together in any 60 seconds. */
  readonly tokensPerMinute: number | null;
  /** Requests in flight at once; 0 refuses every call. */
  readonly parallelRequests: number | null;
  /** Public model names, `prefix/*` or `*`; [] allows every model of the enclosing scope. */
  readonly models: readonly string[];
  readonly budget: Budget | null;
}

export interface Budget {
  /** The most that may be spent (price, not cost) in the window. 0 allows nothing. */
  readonly nanos: bigint;
  /** A duration such as `30s`, `1d`, `30d`, `1mo`: the window restarts on the calendar. Null: for ever. */
  readonly window: string | null;
}

export const UNLIMITED: Limits = {
  requestsPerMinute: null,
  tokensPerMinute: null,
  parallelRequests: null,
  models: [],
  budget: null,
};

export const ENVIRONMENTS = ['production', 'staging'] as const;
export type Environment = (typeof ENVIRONMENTS)[number];
