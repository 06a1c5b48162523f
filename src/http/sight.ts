/** Whose figures a caller sees: everything, or what the tenants and projects that they lead used, and they themselves. */
export interface Insight {
  readonly all: boolean;
  /** Tenants that the caller leads: every project, key and invoice of theirs. */
  readonly tenants: readonly string[];
  /** Projects that the caller leads. */
  readonly projects: readonly string[];
  /** Null for a key of nobody. */
  readonly userId: string | null;
}
