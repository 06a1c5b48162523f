import { appendFile, cp, mkdtemp, readdir, readFile, rm, truncate } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Refusal } from '../../src/errors.ts';
import {
  createSpendWriter,
  type SpendWriter,
  type SpendWriterOptions,
  type Ticket,
} from '../../src/gateway/spend-writer.ts';
import { recoverSpool } from '../../src/gateway/spool-recovery.ts';
import type { Intent, SpendToRecord } from '../../src/gateway/spool-records.ts';
import { type Appended, type EventStore, type Write } from '../../src/store/event-store.ts';
import { memoryStore } from '../../src/store/memory.ts';
import { AT, spendRecorded } from '../support/events.ts';
import { spendsIn } from './harness.ts';

/**
 * The places in a request where a kill decides what is recorded, K01 to K11 of the fault matrix, one by
 * one. What SIGKILL leaves is the spool's folder and the log as they are at that moment; so each test
 * stops there, recovers a copy of both, and does it twice, since a recovery can be killed as well.
 */
const RATES = { input: 2_000_000n, 'cached-input': 1_000_000n, output: 3_000_000n };
const ESTIMATE = { inputTokens: 10, outputTokensMax: 100, prices: RATES, costs: RATES };
const log = { warn: () => undefined, error: () => undefined };

const spend = (requestId: string): SpendToRecord => ({
  agencyId: 'age_1',
  tenantId: 'ten_1',
  actor: { kind: 'key', id: 'key_1' },
  correlationId: requestId,
  occurredAt: AT,
  data: { ...spendRecorded().data, requestId },
});
const intent = (requestId: string, stream = true): Intent => {
  const { data, ...cause } = spend(requestId);
  const { admittedAt, month, keyId, tokenHash, projectId, userId, endUser, tags } = data;
  const { route, model, deployment, currency } = data;
  const who = { admittedAt, month, keyId, tokenHash, projectId, userId, endUser, tags };
  const estimate = stream ? ESTIMATE : null;
  return { ...cause, ...who, requestId, route, model, deployment, stream, currency, estimate };
};

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'keyledger-crash-'));
});
afterEach(async () => {
  await rm(dir, { recursive: true });
});

interface Process {
  readonly writer: SpendWriter;
  readonly store: EventStore;
  /** Resolves when the upstream may be called; rejects with the refusal when it may not. */
  begin(requestId: string, stream?: boolean): Promise<Ticket>;
  /** So many tokens of the answer may have gone out. */
  deliver(ticket: Ticket, tokens: number): Promise<Error | null>;
  settle(ticket: Ticket): Promise<Refusal | null>;
}

type Append = (writes: readonly Write[], store: EventStore) => Promise<Appended>;
const NEVER = new Promise<never>(() => undefined);
/** A log that takes nothing: the drain gets no further than the spool. */
const away: Append = () => NEVER;

function run(append: Append, options: Partial<SpendWriterOptions> = {}): Process {
  const store = memoryStore({ now: () => AT });
  const writer = createSpendWriter({
    store: { append: (writes) => append(writes, store) },
    writerId: 'w1',
    spoolDir: join(dir, 'spool'),
    batchMax: 100,
    gatherMs: 0,
    waitingMax: 1_000,
    waitingMsMax: 60_000,
    retryMs: 1,
    retryMsMax: 4,
    monotonicMs: () => performance.now(),
    log,
    ...options,
  });
  return {
    writer,
    store,
    begin: (requestId, stream) =>
      new Promise((resolve, reject) => {
        const ticket = writer.begin(intent(requestId, stream), (refusal) =>
          refusal === null ? resolve(ticket) : reject(refusal),
        );
      }),
    deliver: (ticket, tokens) => new Promise((resolve) => writer.deliver(ticket, tokens, resolve)),
    settle: (ticket) => new Promise((resolve) => writer.record(ticket, spend(ticket.requestId), resolve)),
  };
}

/** What the next start finds in the log, after a kill now and one more recovery of the same files. */
async function afterKill({ store }: Process): Promise<readonly object[]> {
  const copies = [join(dir, 'first'), join(dir, 'second')];
  for (const copy of copies) await cp(join(dir, 'spool'), copy, { recursive: true });
  for (const copy of copies) {
    await recoverSpool({ dir: copy, store, log });
    expect(await readdir(copy)).toEqual([]);
  }
  return (await spendsIn(store)).map(({ requestId, outcome, usageSource, usage, priceNanos }) => {
    return { requestId, outcome, usageSource, outputTokens: usage.outputTokens, priceNanos };
  });
}

const SETTLED = {
  requestId: 'r1',
  outcome: 'completed',
  usageSource: 'reported',
  outputTokens: spendRecorded().data.usage.outputTokens,
  priceNanos: spendRecorded().data.priceNanos,
};
const FREE = { outcome: 'interrupted', usageSource: 'none', outputTokens: 0, priceNanos: 0n };
const charged = (outputTokens: number) => ({
  outcome: 'interrupted',
  usageSource: 'estimated',
  outputTokens,
  priceNanos: 10n * 2n + BigInt(outputTokens) * 3n,
});

describe('a gateway that is killed', () => {
  test('K01 before a request is begun: nothing is recorded of it', async () => {
    expect(await afterKill(run(away))).toEqual([]);
  });

  test('K02 after a request was begun, before the upstream is called: recorded once, at no cost', async () => {
    const process = run(away);
    await process.begin('r1');
    expect(await readFile(join(dir, 'spool', 'w1-000001.spool'), 'utf8')).toContain('"requestId":"r1"');
    expect(await afterKill(process)).toEqual([{ requestId: 'r1', ...FREE }]);
  });

  test('K03 while the upstream has not answered: recorded once, at no cost', async () => {
    const process = run(away);
    await process.begin('r1', true);
    await process.begin('r2', false);
    await process.settle(await process.begin('other'));
    const left = await afterKill(process);
    expect(left).toContainEqual({ requestId: 'r1', ...FREE });
    expect(left).toContainEqual({ requestId: 'r2', ...FREE });
    expect(left).toHaveLength(3);
  });

  test.each([
    [1, 1],
    [64, 64],
    [100, 100],
    [5_000, 100],
  ])('K04 in a stream of which %d tokens may have gone out: charged for %d', async (tokens, outputTokens) => {
    const process = run(away);
    const ticket = await process.begin('r1');
    for (let part = 1; part <= tokens; part = part * 2 + 1) await process.deliver(ticket, part);
    await process.deliver(ticket, tokens);
    expect(await afterKill(process)).toEqual([{ requestId: 'r1', ...charged(outputTokens) }]);
  });

  test('K05 with the usage of a stream known and not yet written: charged as delivered, not as reported', async () => {
    const process = run(away);
    const ticket = await process.begin('r1');
    await process.deliver(ticket, 40);
    const left = afterKill(process);
    expect(await left).toEqual([{ requestId: 'r1', ...charged(40) }]);
  });

  test('K06 after the spend was durable, before the end of the answer: recorded once, as reported', async () => {
    const process = run(away);
    const ticket = await process.begin('r1');
    await process.deliver(ticket, 40);
    expect(await process.settle(ticket)).toBeNull();
    expect(await afterKill(process)).toEqual([SETTLED]);
  });

  test('K07 before the drain appends: recorded once', async () => {
    const process = run(away);
    await process.settle(await process.begin('r1'));
    expect(process.writer.waiting).toBe(1);
    expect(await afterKill(process)).toEqual([SETTLED]);
  });

  test('K08 after the log has it, with the answer of the log lost: recorded once', async () => {
    let stored = (): void => undefined;
    const appended = new Promise<void>((resolve) => (stored = resolve));
    const process = run(async (writes, store) => {
      await store.append(writes);
      stored();
      return await NEVER;
    });
    await process.settle(await process.begin('r1'));
    await appended;
    expect(process.writer.waiting).toBe(1);
    expect(await afterKill(process)).toEqual([SETTLED]);
  });

  test('K09 after the log has confirmed it, with the file of the spool still there: recorded once', async () => {
    const process = run((writes, store) => store.append(writes));
    await process.settle(await process.begin('r1'));
    await process.writer.flush();
    expect(process.writer.waiting).toBe(0);
    expect(await readdir(join(dir, 'spool'))).toHaveLength(1);
    expect(await afterKill(process)).toEqual([SETTLED]);
  });

  test('K08 and K09 in the middle of many appends, some confirmed: each recorded once, in order', async () => {
    let fourth = (): void => undefined;
    const stuck = new Promise<void>((resolve) => (fourth = resolve));
    let appends = 0;
    const process = run(
      async (writes, store) => {
        appends += 1;
        const appended = await store.append(writes);
        if (appends < 4) return appended;
        fourth();
        return await NEVER;
      },
      { batchMax: 3, segmentBytesMax: 4_096 },
    );
    const ids = Array.from({ length: 20 }, (_, i) => `r${i}`);
    await Promise.all(ids.map(async (id) => process.settle(await process.begin(id))));
    await stuck;
    expect(await afterKill(process)).toEqual(ids.map((requestId) => ({ ...SETTLED, requestId })));
  });

  test('K10 inside a write: what was acknowledged is recorded, and the torn record is of a request that was not', async () => {
    const process = run(away);
    await process.settle(await process.begin('r1'));
    const file = join(dir, 'spool', 'w1-000001.spool');
    const acknowledged = (await readFile(file)).length;
    await process.begin('r2');
    const whole = (await readFile(file)).length;
    for (let bytes = acknowledged; bytes < whole; bytes += 7) {
      await rm(join(dir, 'cut'), { recursive: true, force: true });
      await cp(join(dir, 'spool'), join(dir, 'cut'), { recursive: true });
      await truncate(join(dir, 'cut', 'w1-000001.spool'), bytes);
      const store = memoryStore({ now: () => AT });
      await recoverSpool({ dir: join(dir, 'cut'), store, log });
      expect((await spendsIn(store)).map(({ requestId }) => requestId)).toEqual(['r1']);
    }
  });

  test('K10 inside a write that left the file longer than what was written: nothing is made of what stands there', async () => {
    const process = run(away);
    await process.settle(await process.begin('r1'));
    await appendFile(join(dir, 'spool', 'w1-000001.spool'), Buffer.alloc(4_096));
    expect(await afterKill(process)).toEqual([SETTLED]);
  });

  test('K11 with a full disk: the upstream is not called, what was acknowledged is kept, what runs goes to the log itself', async () => {
    const disk = { full: false };
    const process = run((writes, store) => store.append(writes), {
      gatherMs: 1_000_000,
      spoolFault(step) {
        if (disk.full && step === 'write') throw new Error('ENOSPC: no space left on device, write');
      },
    });
    await process.settle(await process.begin('r1'));
    const running = await process.begin('r2');
    disk.full = true;
    await expect(process.begin('r3')).rejects.toBeInstanceOf(Refusal);
    expect(process.writer.refusal()).toMatchObject({ status: 503 });
    expect(await process.deliver(running, 10)).toBeInstanceOf(Error);
    const settled = process.settle(running);
    await process.writer.flush();
    expect(await settled).toBeNull();
    expect(await afterKill(process)).toEqual([SETTLED, { ...SETTLED, requestId: 'r2' }]);
  });
});
