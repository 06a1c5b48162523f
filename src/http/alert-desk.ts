import type { AlertChannel, AlertKind } from '../domain/alert-settings.ts';
import type { CommandMeta } from '../transact.ts';

/** What the routes of alerts need from billing, which has the outbox. They come in as functions: see deps.ts. */
export interface GivenTarget {
  readonly channel: AlertChannel;
  readonly alerts: readonly AlertKind[];
  readonly language: 'de' | 'en';
  readonly active: boolean;
}

export interface ShownTarget extends GivenTarget {
  readonly id: string;
  /** Of a webhook only its host; null when it cannot be read. */
  readonly address: string | null;
  /** The newest alert that went there, or should have. */
  readonly last: { readonly status: string; readonly note: string | null; readonly at: string } | null;
}

export interface AlertDesk {
  list(agencyId: string): Promise<readonly ShownTarget[]>;
  /** Throws Refusal(invalid_input | bad_request). `secret` is null for mail. */
  add(
    agencyId: string,
    id: string,
    target: GivenTarget & { readonly address: string },
    meta: CommandMeta,
  ): Promise<{ readonly position: bigint; readonly secret: string | null }>;
  /** Throws Refusal(not_found | invalid_input). */
  change(
    agencyId: string,
    id: string,
    target: Partial<Omit<GivenTarget, 'channel'>> & { readonly address?: string | undefined },
    meta: CommandMeta,
  ): Promise<{ readonly position: bigint }>;
  renewSecret(
    agencyId: string,
    id: string,
    meta: CommandMeta,
  ): Promise<{ readonly position: bigint; readonly secret: string }>;
  remove(agencyId: string, id: string, meta: CommandMeta): Promise<{ readonly position: bigint }>;
  /** Sends a message now. */
  test(
    agencyId: string,
    id: string,
  ): Promise<{ readonly ok: boolean; readonly detail: string; readonly durationMs: number }>;
}
