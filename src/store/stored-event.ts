/** An event as every store keeps it. */
export interface StoredEvent {
  readonly stream: string;
  readonly revision: bigint;
  readonly id: string;
  readonly type: string;
  readonly schema: number;
  readonly agencyId: string;
  readonly tenantId: string | null;
  readonly occurredAt: string;
  /** Canonical JSON text. */
  readonly actor: string;
  readonly correlationId: string;
  readonly causationId: string;
  readonly commandHash: string | null;
  readonly previousHash: string;
  readonly hash: string;
  /** Canonical JSON text of the payload. */
  readonly data: string;
}

/** A stored event that is being written: the store fills in where and when it put it. */
export interface Unplaced extends StoredEvent {
  position: bigint;
  recordedAt: string;
}

/** A stored event, and where and when the store put it. */
export interface Placed extends StoredEvent {
  readonly position: bigint;
  readonly recordedAt: string;
}
