import { describe, expect, test } from 'vitest';
import { key, type KeyCommand } from '../src/domain/key.ts';
import { tenant } from '../src/domain/tenant.ts';
import { Refusal } from '../src/errors.ts';
import type { EventStore, Write } from '../src/store/event-store.ts';
import { memoryStore } from '../src/store/memory.ts';
import { type CommandMeta, eventId, load, transact } from '../src/transact.ts';
import { AT, keyGenerated, limits, projectOpened, terms } from './support/events.ts';
import { all, append } from './support/log.ts';

const STREAM = 'key-key_1';
const generate: KeyCommand = { type: 'generate', key: keyGenerated().data };
const block: KeyCommand = { type: 'block' };

function meta(commandId: string, overrides: Partial<CommandMeta> = {}): CommandMeta {
  return {
    agencyId: 'age_1',
    tenantId: 'ten_1',
    actor: { kind: 'master', id: 'default_user_id' },
    correlationId: commandId,
    causationId: commandId,
    commandId,
    at: AT,
    ...overrides,
  };
}

function run(
  store: EventStore,
  command: KeyCommand,
  commandId: string,
  overrides: Partial<CommandMeta> = {},
) {
  return transact(store, key, STREAM, command, meta(commandId, overrides));
}

function newStore(): EventStore {
  return memoryStore({ now: () => AT });
}

/** Does something before each of the first appends that pass through. */
function disturbed(
  store: EventStore,
  times: number,
  disturb: (turn: number) => Promise<unknown>,
): EventStore {
  let turn = 0;
  return {
    ...store,
    async append(writes: readonly Write[]) {
      if (turn < times) {
        turn += 1;
        await disturb(turn);
      }
      return await store.append(writes);
    },
  };
}

describe('a command', () => {
  test('is decided from the stream, and its events say who, why and when', async () => {
    const store = newStore();
    const first = await run(store, generate, 'one');
    const second = await run(store, block, 'two', {
      at: '2026-11-20T11:00:00.000Z',
      correlationId: 'c',
      causationId: 'd',
    });
    expect([first, second]).toMatchObject([
      { position: 1n, repeated: false, state: { status: 'active' } },
      { position: 2n, repeated: false, state: { status: 'blocked', keyId: 'key_1' } },
    ]);
    const [, blocked] = await all(store.readStream(STREAM));
    expect(blocked).toMatchObject({
      agencyId: 'age_1',
      tenantId: 'ten_1',
      correlationId: 'c',
      causationId: 'd',
      occurredAt: '2026-11-20T11:00:00.000Z',
      event: { type: 'key.blocked' },
      revision: 1n,
    });
    expect(await load(store, key, STREAM)).toEqual(second.state);
  });

  test('that changes nothing writes nothing and answers where the stream stands', async () => {
    const store = newStore();
    await run(store, generate, 'one');
    await run(store, block, 'two');
    expect(await run(store, block, 'three')).toMatchObject({ position: 2n, repeated: false });
    expect(await store.head()).toBe(2n);
    const none = await transact(store, { ...key, decide: () => [] }, 'key-none', block, meta('four'));
    expect(none).toEqual({ position: 0n, state: { status: 'absent' }, repeated: false });
  });

  test('that is refused writes nothing', async () => {
    const store = newStore();
    await expect(run(store, block, 'one')).rejects.toMatchObject({ code: 'key_not_found' });
    expect(await store.head()).toBe(0n);
  });
});

describe('a repeated command', () => {
  test('finds its own event, and answers as it did', async () => {
    const store = newStore();
    const first = await run(store, generate, 'one');
    expect(await run(store, generate, 'one', { at: '2026-11-21T00:00:00.000Z' })).toEqual({
      ...first,
      repeated: true,
    });
    expect(await store.head()).toBe(1n);
  });

  test('answers with the position and state that were its own, whatever came after', async () => {
    const store = newStore();
    await run(store, generate, 'one');
    const blocked = await run(store, block, 'two');
    await run(store, { type: 'unblock' }, 'three');
    await run(store, { type: 'delete' }, 'four');
    expect(await run(store, block, 'two')).toEqual({ ...blocked, repeated: true });
    expect(await store.head()).toBe(4n);
  });

  test('finds all of its events when there were several', async () => {
    const store = newStore();
    const onboard = {
      type: 'onboard',
      tenant: { tenantId: 'ten_1', agencyId: 'age_1', own: false, contactVersion: 1 },
      contract: { contractId: 'con_1', effectiveFrom: AT, terms: terms() },
      projects: [projectOpened().data],
    } as const;
    const run = (id: string) => transact(store, tenant, 'tenant-ten_1', onboard, meta(id));
    const first = await run('one');
    expect(first.position).toBe(3n);
    await transact(store, tenant, 'tenant-ten_1', { type: 'suspend', reason: 'late' }, meta('two'));
    expect(await run('one')).toEqual({ ...first, repeated: true });
    await expect(run('another')).rejects.toMatchObject({ code: 'tenant_exists' });
  });

  test('is refused when it now asks for something else', async () => {
    const store = newStore();
    await run(store, generate, 'one');
    await run(store, block, 'two');
    const other: KeyCommand = { type: 'change', limits: limits() };
    await expect(run(store, other, 'two')).rejects.toMatchObject({
      code: 'idempotency_key_reused',
      status: 422,
    });
    expect(await store.head()).toBe(2n);
  });

  test('is compared by what was asked for, where the command holds more than that', async () => {
    const store = newStore();
    const asked = (tokenHash: string, input: unknown) =>
      transact(
        store,
        key,
        STREAM,
        { type: 'generate', key: { ...keyGenerated().data, tokenHash } },
        meta('one'),
        {
          input,
        },
      );
    const first = await asked('first', { alias: 'shop' });
    expect(await asked('second', { alias: 'shop' })).toEqual({ ...first, repeated: true });
    await expect(asked('first', { alias: 'other' })).rejects.toMatchObject({
      code: 'idempotency_key_reused',
    });
  });

  test('with the same id means another thing in another stream', async () => {
    const store = newStore();
    await run(store, generate, 'one');
    const other = { type: 'generate', key: keyGenerated({ keyId: 'key_2' }).data } as const;
    expect(await transact(store, key, 'key-key_2', other, meta('one'))).toMatchObject({
      repeated: false,
      position: 2n,
    });
  });

  test('that runs twice at the same time is carried out once', async () => {
    const store = newStore();
    await run(store, generate, 'one');
    const twice = [AT, '2026-11-20T10:00:00.001Z'].map((at) => run(store, block, 'two', { at }));
    const outcomes = await Promise.all(twice);
    expect(outcomes.map(({ position }) => position)).toEqual([2n, 2n]);
    expect(outcomes.map(({ repeated }) => repeated)).toContain(true);
    expect(await store.head()).toBe(2n);
  });
});

describe('a lost race', () => {
  test('is decided again on what is true now', async () => {
    const store = newStore();
    await run(store, generate, 'one');
    const racing = disturbed(store, 1, () => run(store, block, 'faster'));
    expect(await run(racing, block, 'slower')).toMatchObject({ position: 2n, state: { status: 'blocked' } });
    expect(await store.head()).toBe(2n);
    const deleting = disturbed(store, 1, () => run(store, { type: 'delete' }, 'gone'));
    await expect(run(deleting, { type: 'unblock' }, 'late')).rejects.toMatchObject({ code: 'key_deleted' });
  });

  test('is decided at most four times', async () => {
    const store = newStore();
    await run(store, generate, 'one');
    const disturb = (turn: number) =>
      run(store, { type: 'change', limits: { requestsPerMinute: turn } }, `faster ${turn}`);
    const change: KeyCommand = { type: 'change', limits: { tokensPerMinute: 1 } };
    expect(await run(disturbed(store, 3, disturb), change, 'wins')).toMatchObject({ position: 5n });
    const again: KeyCommand = { type: 'change', limits: { tokensPerMinute: 2 } };
    const losing = disturbed(store, 5, (turn) => disturb(turn + 10));
    await expect(run(losing, again, 'loses')).rejects.toMatchObject({ code: 'stream_changed', status: 409 });
    expect(await store.head()).toBe(9n);
  });

  test('does not happen to commands of two streams', async () => {
    const store = newStore();
    const ids = Array.from({ length: 8 }, (_, i) => `key_${i}`);
    await Promise.all(
      ids.map((keyId) => {
        const command = { type: 'generate', key: keyGenerated({ keyId }).data } as const;
        return transact(store, key, `key-${keyId}`, command, meta(keyId));
      }),
    );
    expect(await store.head()).toBe(8n);
  });
});

describe('an append with an unknown outcome', () => {
  test.each(['was written', 'was not written'])('that %s is repeated', async (what) => {
    const store = newStore();
    let lost = 0;
    const unsure: EventStore = {
      ...store,
      async append(writes) {
        if (lost === 0 && what === 'was not written') throw new Error(`lost ${(lost += 1)}`);
        const answer = await store.append(writes);
        if (lost === 0) throw new Error(`lost ${(lost += 1)}`);
        return answer;
      },
    };
    expect(await run(unsure, generate, 'one')).toMatchObject({ position: 1n, repeated: false });
    expect([await store.head(), lost]).toEqual([1n, 1]);
  });

  test('that stays unknown is the caller’s to know', async () => {
    const store: EventStore = { ...newStore(), append: () => Promise.reject(new Error('no connection')) };
    await expect(run(store, generate, 'one')).rejects.toThrow('no connection');
  });
});

describe('the stream of another tenant', () => {
  const scoped = (store: EventStore, command: KeyCommand, scope: string | null, id = 'two') =>
    transact(store, key, STREAM, command, meta(id), { scope });

  test('answers every command as if it did not exist', async () => {
    const store = newStore();
    const absent = await scoped(store, block, 'ten_2').catch((error: unknown) => error);
    await run(store, generate, 'one');
    const foreign = await scoped(store, block, 'ten_2').catch((error: unknown) => error);
    expect(foreign).toBeInstanceOf(Refusal);
    expect(foreign).toEqual(absent);
    await expect(scoped(store, generate, 'ten_2')).rejects.toMatchObject({ code: 'not_found', status: 404 });
    await expect(scoped(store, generate, 'ten_2', 'one')).rejects.toMatchObject({ code: 'not_found' });
    expect(await store.head()).toBe(1n);
  });

  test('is open to its tenant and to the administrator', async () => {
    const store = newStore();
    await run(store, generate, 'one');
    expect(await scoped(store, block, 'ten_1')).toMatchObject({ position: 2n });
    expect(await scoped(store, { type: 'unblock' }, null, 'three')).toMatchObject({ position: 3n });
  });

  test('does not exist when only a part of it is another’s', async () => {
    const store = newStore();
    await run(store, generate, 'one');
    const [first] = await all(store.readStream(STREAM));
    await append(store, STREAM, { revision: 0n, hash: first!.hash }, 1);
    await run(store, { type: 'unblock' }, 'two', { tenantId: 'ten_2' });
    await expect(scoped(store, { type: 'delete' }, 'ten_1', 'three')).rejects.toMatchObject({
      code: 'key_not_found',
    });
  });
});

test('an event id is a UUID that follows from stream, command and index', () => {
  const ids = [eventId('a', 'b', 0), eventId('a', 'b', 1), eventId('a', 'c', 0), eventId('d', 'b', 0)];
  expect(new Set(ids).size).toBe(4);
  for (const id of ids)
    expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  // Stored for ever: repeated commands of earlier releases are found by it.
  expect(eventId('key-1', 'command', 0)).toBe('12a09090-d52a-807b-8ae0-473187b72586');
});
