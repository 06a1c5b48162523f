/** A log in memory with seals in it, and what a test needs to write to it and to seal it. */
import { generateKeyPairSync } from 'node:crypto';
import { adoptKey, createSealer, type Sealer, type SealerDeps } from '../../src/audit/sealer.ts';
import { signingKey, type SigningKey } from '../../src/audit/signing-key.ts';
import type { DomainEvent, NewEvent } from '../../src/events.ts';
import type { EventStore } from '../../src/store/event-store.ts';
import { memoryStore } from '../../src/store/memory.ts';
import { newEvent } from '../support/events.ts';

export function newKey(): SigningKey {
  const { privateKey } = generateKeyPairSync('ed25519');
  return signingKey(privateKey.export({ type: 'pkcs8', format: 'pem' }) as string);
}

export interface SealedLog {
  readonly store: EventStore;
  readonly sealer: Sealer;
  readonly deps: SealerDeps;
  /** The first is the one to sign with. */
  keys: readonly SigningKey[];
  clock: string;
  append(stream: string, events: readonly DomainEvent[], envelope?: Partial<NewEvent>): Promise<bigint>;
}

export async function sealedLog(options: Partial<SealerDeps> = {}): Promise<SealedLog> {
  const store = options.store ?? memoryStore({ now: () => log.clock });
  const deps: SealerDeps = {
    store,
    keys: () => log.keys,
    agencyId: 'age_1',
    now: () => log.clock,
    ...options,
  };
  let names = 0;
  const log: SealedLog = {
    store,
    deps,
    sealer: createSealer(deps),
    keys: [newKey()],
    clock: '2026-11-20T10:00:00.000Z',
    async append(stream, events, envelope = {}) {
      let expected: Parameters<EventStore['append']>[0][number]['expected'] = 'none';
      for await (const { revision, hash } of store.readStream(stream)) expected = { revision, hash };
      names += 1;
      const named = events.map((event, i) =>
        newEvent(event, `${stream} ${names} ${i}`, { occurredAt: log.clock, ...envelope }),
      );
      return (await store.append([{ stream, expected, events: named }])).position;
    },
  };
  await adoptKey(deps);
  return log;
}
