import { randomUUID } from 'node:crypto';
import type { Pool } from 'pg';
import { type AskingOthers, askOthers } from './asking-others.ts';
import type { Config } from './config.ts';
import type { Gateway } from './gateway/gateway.ts';
import type { SpentSince } from './gateway/ledger-question.ts';
import { settleGone } from './gateway/shared-limits.ts';
import { createShares } from './gateway/shares.ts';
import { markWriter, unmarkWriter } from './living-writers.ts';
import type { Log } from './log.ts';
import { type NameClaims, nameClaims } from './name-claims.ts';
import { joinProcesses, type ProcessRegistry, tagOf } from './process-registry.ts';
import { spoolDirOf } from './recovery.ts';
import type { EventStore } from './store/event-store.ts';

/** This process among those that serve over the same database. */
export interface Part {
  readonly writerId: string;
  /** Begins with the tag of this process, by which the ledger tells its spend from that of others. */
  readonly newRequestId: () => string;
  readonly claimName: NameClaims['claim'];
  /** Resolves when all that was served so far, here and elsewhere, is in the log; reads wait for it from then on. */
  recorded(gateway: Gateway): Promise<void>;
  /** Resolves when every other process decides by what is in the log up to the position. */
  everywhere(position: bigint): Promise<void>;
  /** Resolves when every other process knows of this one; nothing may be served before. */
  join(gateway: Gateway): Promise<void>;
  /** `drained`: nothing is left in the spool. */
  leave(drained: boolean): Promise<void>;
}

export interface PartOptions {
  readonly config: Config;
  readonly pool: Pool;
  readonly store: EventStore;
  readonly settled: (position: bigint) => Promise<void>;
  /** Resolves when this process decides by what is in the log up to a position. */
  readonly known: (position: bigint) => Promise<void>;
  readonly spentSince: SpentSince;
  readonly appendedPosition: () => bigint;
  readonly heardOf: (position: bigint) => void;
  readonly writerId: string;
  readonly monotonicMs: () => number;
  readonly log: Log;
}

export function takePart(options: PartOptions): Part {
  const { config, pool, store, settled, spentSince, writerId, monotonicMs, log } = options;
  const spoolDir = spoolDirOf(config);
  const tag = tagOf(writerId);
  const names = nameClaims({ pool, current: async () => await settled(await store.head()) });
  let registry: ProcessRegistry | null = null;
  let others: AskingOthers | null = null;
  const standing = {
    get trustedUntilMs() {
      return registry?.trustedUntilMs ?? -Infinity;
    },
    trusted: () => registry!.trusted(),
  };
  const shares = createShares({ pool, holder: writerId, monotonicMs, log, standing });
  markWriter(spoolDir, writerId);
  return {
    writerId,
    newRequestId: () => tag + randomUUID().slice(tag.length),
    claimName: names.claim,
    async recorded(gateway) {
      const [, elsewhere] = await Promise.all([gateway.flush(), others?.spent()]);
      options.heardOf(elsewhere ?? 0n);
    },
    everywhere: async (position) => await others?.known(position),
    async join(gateway) {
      const spent = async (): Promise<bigint> => {
        const flushed = await gateway.flush();
        const appended = options.appendedPosition();
        return flushed > appended ? flushed : appended;
      };
      others = askOthers({
        pool,
        id: writerId,
        log,
        monotonicMs,
        isAlone: () => registry === null || !registry.sharing,
        own: { spent, known: options.known },
        onTold: gateway.told,
      });
      registry = await joinProcesses({
        pool,
        id: writerId,
        monotonicMs,
        log,
        async onOthers() {
          await names.share();
          await gateway.share({ shares, pool, tag, tell: (news) => others?.tell(news) });
        },
        onLapsed: shares.lapsed,
        onGone: (gone) => settleGone(pool, spentSince, gone),
      });
      await registry.joined;
    },
    async leave(drained) {
      await names.stop();
      await others?.stop();
      await shares
        .stop()
        .catch((error: unknown) => log.warn({ err: error }, 'shares of limits were not given back'));
      await registry?.leave();
      if (drained) unmarkWriter(spoolDir, writerId);
    },
  };
}
