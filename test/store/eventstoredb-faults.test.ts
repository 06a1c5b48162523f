import { mkdtempSync, readFileSync, rmSync, truncateSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ANY, EventStoreDBClient, jsonEvent } from '@eventstore/db-client';
import { status } from '@grpc/grpc-js';
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest';
import { appendSurely } from '../../src/store/append-surely.ts';
import { hashHolds } from '../../src/store/codec.ts';
import type { EventStore, StreamHead, Write } from '../../src/store/event-store.ts';
import { type EventStoreDbOptions, eventStoreDb } from '../../src/store/eventstoredb.ts';
import { keyChanged, keySettings, newEvent, spendRecorded } from '../support/events.ts';
import type { AppendFault } from '../support/eventstoredb/faults.ts';
import { standInLog } from '../support/eventstoredb/log.ts';
import { type StandIn, type StandInOptions, startStandIn } from '../support/eventstoredb/stand-in.ts';
import {
  all,
  append,
  catchUp,
  eventsOf,
  freshStream,
  gate,
  hasReached,
  isCaughtUp,
  someEvents,
  watch,
  write,
} from '../support/log.ts';
import { insertPlaced } from './eventstoredb-log.ts';

/** The rules under which the client of EventStoreDB may be used, and the faults that they are there for. */
const opened: { close(): unknown }[] = [];
const lines: string[] = [];
const log = {
  info: (text: string) => void lines.push(text),
  warn: (facts: object, text: string) =>
    void lines.push(`${text} ${String((facts as { err?: unknown }).err)}`),
} as never;
let server: StandIn;
let store: EventStore;

async function serve(options: StandInOptions = {}): Promise<StandIn> {
  const started = await startStandIn(options);
  opened.push({ close: () => started.stop() });
  return started;
}

function open(options: Partial<EventStoreDbOptions> = {}): EventStore {
  const made = eventStoreDb({ url: server.url, log, ...options });
  opened.push(made);
  return made;
}

const quick = { firstMsMax: 300, silenceMsMax: 300, probeMs: 100, retryMs: 5, retryMsMax: 40 };
const surely = (writes: readonly Write[], by: EventStore = store) =>
  appendSurely(by, writes, { attemptsMax: 20, pause: () => new Promise(setImmediate) });

beforeEach(async () => {
  lines.length = 0;
  server = await serve();
  store = open();
});

afterEach(async () => {
  for (const one of opened.splice(0).toReversed()) await one.close();
});

describe('an append', () => {
  test('goes out alone, never in the client’s shared batch stream', async () => {
    let head: StreamHead | 'none' = 'none';
    const stream = freshStream();
    for (let i = 0; i < 5; i += 1) head = await append(store, stream, head, 3);
    expect(server.calls).toMatchObject({ appends: 5, batchAppends: 0 });
  });

  test.each<AppendFault>(['lose-answer', 'time-out', 'lose-write', 'not-leader'])(
    'that meets "%s" is stored once when it is repeated, and answered with its real positions',
    async (fault) => {
      server.faults.appends.push(fault, fault, fault);
      const writes = [write(freshStream(), 'none', 3), write(freshStream(), 'none', 1)];
      const answer = await surely(writes);
      const placed = await all(store.readLog(0n));
      expect(placed.map(({ position }) => position)).toEqual(answer.positions.flat());
      expect(answer.position).toBe(answer.positions.flat().at(-1));
      expect(placed.every(hashHolds)).toBe(true);
    },
  );

  test.each<AppendFault>(['hang', 'write-and-hang'])(
    'that meets "%s" ends by its own deadline',
    async (fault) => {
      store = open({ appendMsMax: 200 });
      server.faults.appends.push(fault);
      const writes = [write(freshStream(), 'none', 2)];
      const before = performance.now();
      await expect(store.append(writes)).rejects.toThrow(/DEADLINE|deadline/);
      expect(performance.now() - before).toBeLessThan(2_000);
      const answer = await surely(writes);
      expect((await all(store.readLog(0n))).map(({ position }) => position)).toEqual(answer.positions.flat());
    },
  );

  test('that was written unknown to its writer, who meanwhile lost the race, is told apart from it', async () => {
    const stream = freshStream();
    server.faults.appends.push('lose-write');
    const mine = write(stream, 'none', 1);
    await expect(store.append([mine])).rejects.toThrow();
    await append(open(), stream, 'none', 1);
    await expect(store.append([mine])).rejects.toMatchObject({ code: 'stream_changed' });
    expect(await all(store.readStream(stream))).toHaveLength(1);
  });

  test('that reaches the server after its own repetition changes nothing', async () => {
    store = open({ appendMsMax: 300 });
    const held = gate();
    server.faults.hold = held.opened;
    const writes = [write(freshStream(), 'none', 2)];
    const first = store.append(writes).catch((error: unknown) => error);
    await expect.poll(() => server.calls.appends).toBe(1);
    server.faults.hold = null;
    const answer = await surely(writes);
    held.open();
    expect(await first).toSatisfy(
      (value) => value instanceof Error || (value as typeof answer).position === answer.position,
    );
    expect(await store.append(writes)).toEqual(answer);
    expect(await all(store.readLog(0n))).toHaveLength(2);
  });

  test('can be repeated after a restart of the server, and long after', async () => {
    const writes = [write(freshStream(), 'none', 2)];
    const answer = await store.append(writes);
    server.log.forgetIds();
    await server.dropConnections();
    await surely([write(writes[0]!.stream, answer.heads[0]!, 5)]);
    expect(await surely(writes)).toEqual(answer);
  });

  test('of the same ids with other facts is refused although the server calls it a repetition', async () => {
    const stream = freshStream();
    await append(store, stream, 'none', [newEvent(spendRecorded({ status: 200 }), stream)]);
    const forged = write(stream, 'none', [newEvent(spendRecorded({ status: 500 }), stream)]);
    await expect(store.append([forged])).rejects.toMatchObject({ code: 'stream_changed' });
  });

  test('behind a hash that is not there is refused before it is sent, also by who never read the stream', async () => {
    const stream = freshStream();
    const head = await append(store, stream, 'none', 2);
    const wrong = { ...head, hash: 'a'.repeat(64) };
    const sent = server.calls.appends;
    for (const one of [store, open()]) {
      await expect(append(one, stream, wrong, 1)).rejects.toMatchObject({ code: 'stream_changed' });
    }
    expect(server.calls.appends).toBe(sent);
  });

  test('needs no reading before it when this process knows the stream', async () => {
    const stream = freshStream();
    let head: StreamHead | 'none' = 'none';
    for (let i = 0; i < 4; i += 1) head = await append(store, stream, head, 1);
    // Each is read back once.
    expect(server.calls.reads).toBe(4);
  });

  test('that the server takes for too large is refused before it is sent', async () => {
    const stream = freshStream();
    const events = someEvents(3_000);
    await expect(append(store, stream, 'none', events)).rejects.toThrow(/EventStoreDB takes at most 1048576/);
    expect(server.calls.appends).toBe(0);
    const big = keyChanged({ settings: keySettings({ metadata: { big: 'x'.repeat(950_000) } }) });
    await append(store, stream, 'none', [newEvent(big, stream)]);
  });

  test('that is forbidden is final', async () => {
    server.faults.appends.push('access-denied');
    await expect(surely([write(freshStream(), 'none', 1)])).rejects.toThrow(TypeError);
    expect(server.calls.appends).toBe(1);
  });

  test('to a stream that was removed for ever is refused', async () => {
    const stream = freshStream();
    server.log.tombstone(stream);
    await expect(append(store, stream, 'none', 1)).rejects.toMatchObject({ code: 'stream_changed' });
  });

  test('waits for its turn when many are under way', async () => {
    store = open({ appendsMax: 3 });
    const held = gate();
    server.faults.hold = held.opened;
    const appends = Array.from({ length: 10 }, () => append(store, freshStream(), 'none', 1));
    await expect.poll(() => server.calls.appends).toBe(3);
    held.open();
    await Promise.all(appends);
    expect(server.calls.appends).toBe(10);
  });

  test('follows the leader to another node', async () => {
    const second = await serve({ log: server.log });
    const follower = await serve({ log: server.log, leaderPort: () => second.port });
    store = open({ url: follower.url });
    follower.faults.appends.push('not-leader');
    await surely([write(freshStream(), 'none', 1)]);
    expect(second.calls.appends).toBe(1);
    expect(follower.calls.appends).toBe(1);
  });
});

describe('what is stored', () => {
  test('is JSON that other tools read, with correlation and causation under the names they expect', async () => {
    const stream = freshStream();
    const actor = { kind: 'user', id: 'usr_1' } as const;
    const event = newEvent(spendRecorded(), stream, { actor, correlationId: 'corr', causationId: 'cause' });
    const head = await append(store, stream, 'none', [event]);
    const client = EventStoreDBClient.connectionString(server.url);
    opened.push({ close: () => client.dispose() });
    for await (const { event: read } of client.readStream(stream)) {
      expect(read).toMatchObject({ id: event.id, type: 'spend.recorded', isJson: true, streamId: stream });
      expect(read!.data).toMatchObject({ requestId: expect.any(String), priceNanos: expect.any(String) });
      expect(read!.metadata).toMatchObject({
        $correlationId: 'corr',
        $causationId: 'cause',
        actor,
        hash: head.hash,
      });
    }
    const [stored] = server.log.events.slice(-1);
    const [placed] = await all(store.readLog(0n));
    expect(Buffer.from(stored!.data).toString()).toBe(placed!.data);
  });

  test('by another program stops who meets it, and is not passed over', async () => {
    const client = EventStoreDBClient.connectionString(server.url);
    opened.push({ close: () => client.dispose() });
    const credentials = { username: '', password: '' };
    await client.appendToStream('orders-1', jsonEvent({ type: 'OrderPlaced', data: {} }), {
      expectedRevision: ANY,
      credentials,
    });
    await expect(catchUp(store, 0n)).rejects.toMatchObject({
      name: 'UndecodableEvent',
      eventType: 'OrderPlaced',
    });
  });

  test('by the server itself is no part of the log', async () => {
    await append(store, freshStream(), 'none', 1);
    const before = await store.head();
    const event = {
      id: '00000000-0000-4000-8000-00000000000f',
      type: '$statsCollected',
      contentType: 'application/json',
      data: Buffer.from('{}'),
      metadata: Buffer.alloc(0),
    };
    for (let i = 0; i < 40; i += 1)
      server.log.append('$stats', 'any', [
        { ...event, id: `00000000-0000-4000-8000-${String(i).padStart(12, '0')}` },
      ]);
    expect(await store.head()).toBe(before);
    expect(await open().head()).toBe(before);
    expect(await catchUp(open(), before)).toEqual([
      { events: [], last: null, position: before, caughtUp: true },
    ]);
    expect(await all(store.readLog(0n))).toHaveLength(1);
  });
});

describe('reading', () => {
  test('a server that hangs in the middle of an answer is given up, and the next attempt has a fresh client', async () => {
    store = open({ readMsMax: 400 });
    const stream = freshStream();
    await append(store, stream, 'none', 3);
    server.faults.reads.push('hang', 'never-end');
    for (let i = 0; i < 2; i += 1)
      await expect(all(store.readStream(stream))).rejects.toThrow('has said nothing for 400 ms');
    expect(await all(store.readStream(stream))).toHaveLength(3);
  });

  test('the log goes on where it was interrupted', async () => {
    store = open({ waits: quick });
    await append(store, freshStream(), 'none', 50);
    const seen: bigint[] = [];
    server.faults.subscriptions.push('unavailable', 'unavailable');
    for await (const { position } of store.readLog(0n)) {
      seen.push(position);
      if (seen.length === 10) for (const one of server.subscribed) one.end();
    }
    expect(seen).toEqual(server.log.events.slice(1).map(({ position }) => BigInt(position)));
  });
});

describe('a subscription', () => {
  beforeEach(() => {
    store = open({ waits: quick });
  });

  /** Appends in between, and sees that everything arrives once and in order. */
  async function survives(disturb: () => Promise<void> | void): Promise<void> {
    const writer = open();
    const watching = watch(store, 0n);
    await watching.until(isCaughtUp);
    const stream = freshStream();
    let head: StreamHead | 'none' = 'none';
    for (let i = 0; i < 6; i += 1) {
      [head] = (await surely([write(stream, head, 5)], writer)).heads as [StreamHead];
      await disturb();
    }
    await watching.until(() => watching.events().length >= 30);
    await watching.stop();
    expect(watching.events().map(({ revision }) => revision)).toEqual(
      Array.from({ length: 30 }, (_, i) => BigInt(i)),
    );
  }

  test('goes on after the server ended it', () =>
    survives(() => server.subscribed.forEach((one) => one.end())));

  test.each([status.UNAVAILABLE, status.ABORTED, status.UNKNOWN, status.CANCELLED])(
    'goes on after it failed with status %i',
    (code) => survives(() => server.subscribed.forEach((one) => one.fail(code))),
  );

  test('goes on after every connection was cut', () => survives(() => server.dropConnections()));

  test('goes on although it is sent events again', () =>
    survives(() => {
      server.faults.subscriptions.push({ redeliver: 7 });
      for (const one of server.subscribed) one.end();
    }));

  test('goes on after it fell silent without an end', async () => {
    const watching = watch(store, 0n);
    await watching.until(isCaughtUp);
    const head = await append(store, freshStream(), 'none', 1);
    await watching.until(() => watching.events().length === 1);
    for (const one of server.subscribed) one.mute();
    server.faults.subscriptions.push('silent');
    const { position } = await store.append([write(freshStream(), 'none', 1)]);
    await watching.until(hasReached(position));
    await watching.stop();
    expect(watching.events()).toHaveLength(2);
    expect(head.revision).toBe(0n);
    expect(lines.some((line) => /brings nothing|has said nothing/.test(line))).toBe(true);
    expect(lines.at(-1)).toBe('the event log can be read again');
  });

  test('that brings nothing although there is something is opened anew over a fresh client', async () => {
    store = open({ waits: { ...quick, firstMsMax: 60_000, silenceMsMax: 60_000 } });
    const watching = watch(store, 0n);
    await watching.until(isCaughtUp);
    await expect.poll(() => server.subscribed.size).toBe(1);
    for (const one of server.subscribed) one.mute();
    const { position } = await store.append([write(freshStream(), 'none', 1)]);
    await watching.until(hasReached(position));
    await watching.stop();
    expect(server.names.subscriptions.size).toBe(2);
    expect(store.restarts()).toBe(1);
    expect(server.log.events.filter(({ type }) => !type.startsWith('$'))).toHaveLength(1);
  });

  test('that is idle for long is opened anew, and nobody notices', async () => {
    const watching = watch(store, 0n);
    await watching.until(isCaughtUp);
    const before = server.calls.subscriptions;
    await expect.poll(() => server.calls.subscriptions, { timeout: 5_000 }).toBeGreaterThan(before + 1);
    const { position } = await store.append([write(freshStream(), 'none', 1)]);
    await watching.until(hasReached(position));
    await watching.stop();
    expect(watching.events()).toHaveLength(1);
  });

  test('is dropped by no server for being slow, because its process always reads', async () => {
    server.faults.slowReaderMax = 1_000;
    const reading = gate();
    const slow = watch(store, 0n, { onBatch: () => reading.opened });
    await slow.until(isCaughtUp);
    let head: StreamHead | 'none' = 'none';
    const stream = freshStream();
    for (let i = 0; i < 16; i += 1) head = await append(store, stream, head, 200);
    reading.open();
    await slow.until(hasReached(await store.head()));
    await slow.stop();
    expect(slow.events().map(({ revision }) => revision)).toEqual(
      Array.from({ length: 3_200 }, (_, i) => BigInt(i)),
    );
  });

  test('catches up with a filter on the server, is told how far it looked, and meets the others', async () => {
    const stream = freshStream('spend');
    let head: StreamHead | 'none' = 'none';
    for (let i = 0; i < 6; i += 1) {
      head = await append(
        store,
        stream,
        head,
        Array.from({ length: 400 }, (_, n) => newEvent(spendRecorded(), `${stream} ${i} ${n}`)),
      );
    }
    const { position } = await store.append([write(freshStream(), 'none', 2)]);
    const batches = await catchUp(open({ waits: quick }), 0n, { prefixes: ['key.'] });
    expect(eventsOf(batches)).toHaveLength(2);
    expect(batches.at(-1)).toMatchObject({ position, caughtUp: true });
    // Twice a thousand events of other types were passed over.
    expect(batches.filter(({ events }) => events.length === 0).length).toBeGreaterThanOrEqual(2);
  });

  test('begins when the server comes back, and ends while it is away', async () => {
    await append(store, freshStream(), 'none', 2);
    server.goAway();
    const patient = watch(store, 0n);
    const leaving = watch(store, 0n);
    await expect.poll(() => lines.length).toBeGreaterThan(0);
    await leaving.stop();
    await server.listen();
    await patient.until(isCaughtUp);
    await patient.stop();
    expect(patient.events()).toHaveLength(2);
  });

  test('one connection serves all readers of a process, and ends with the last of them', async () => {
    const watching = Array.from({ length: 10 }, () => watch(store, 0n));
    for (const one of watching) await one.until(isCaughtUp);
    await expect.poll(() => server.subscribed.size).toBe(1);
    expect(server.calls.subscriptions).toBe(1);
    for (const one of watching) await one.stop();
    await expect.poll(() => server.subscribed.size).toBe(0);
  });

  test('from far back is read no faster than its reader reads', async () => {
    const big = { settings: keySettings({ metadata: { big: 'x'.repeat(20_000) } }) };
    const stream = freshStream();
    let head: StreamHead | 'none' = 'none';
    for (let i = 0; i < 15; i += 1) {
      const events = Array.from({ length: 40 }, (_, n) => newEvent(keyChanged(big), `${stream} ${i} ${n}`));
      head = await append(store, stream, head, events);
    }
    const reading = gate();
    const slow = watch(store, 0n, { prefixes: ['key.'], batchMax: 10, onBatch: () => reading.opened });
    await slow.until((batches) => batches.length > 0);
    let sent = -1;
    await expect.poll(() => sent === (sent = server.calls.sent), { interval: 100 }).toBe(true);
    expect(sent).toBeLessThan(450);
    reading.open();
    await slow.until(() => slow.events().length === 600);
    await slow.stop();
  });

  test('that a reader leaves half-way leaves nothing open on the server', async () => {
    for (let i = 0; i < 3; i += 1) await append(store, freshStream(), 'none', 400);
    for await (const _ of store.subscribe(0n, new AbortController().signal, { batchMax: 10 })) break;
    await expect.poll(() => server.subscribed.size).toBe(0);
  });
});

test('appends, reads and subscriptions have a client each', async () => {
  await append(store, freshStream(), 'none', 1);
  const watching = watch(store, 0n);
  await watching.until(isCaughtUp);
  await expect.poll(() => server.subscribed.size).toBe(1);
  await watching.stop();
  const { appends, reads, subscriptions } = server.names;
  expect([appends.size, reads.size]).toEqual([1, 1]);
  expect(new Set([...appends, ...reads, ...subscriptions]).size).toBe(3);
});

test('the client and its transport are pinned', () => {
  const read = (file: string) => JSON.parse(readFileSync(file, 'utf8')) as Record<string, never>;
  expect(read('package.json')['dependencies']).toMatchObject({ '@eventstore/db-client': '6.2.1' });
  expect(read('package-lock.json')['packages']).toMatchObject({
    'node_modules/@grpc/grpc-js': { version: expect.stringMatching(/^\d+\.\d+\.\d+$/) },
  });
});

describe('the address', () => {
  test('cannot make failed appends look like written ones', () => {
    const url = `${server.url}&throwOnAppendFailure=false`;
    expect(() => eventStoreDb({ url, log })).toThrow('must not set throwOnAppendFailure');
  });

  test('appears in no line and no error, nor does its password', async () => {
    const secret = 'Pa55-word';
    expect(() => eventStoreDb({ url: `esdb://admin:${secret}@`, log })).toThrow('see EVENTSTOREDB_URL');
    const url = `esdb://admin:${secret}@127.0.0.1:${server.port}?tls=false`;
    server.goAway();
    const away = open({ url, waits: quick });
    const watching = watch(away, 0n);
    const errors = [
      await away.head().catch((error: unknown) => error),
      await append(away, 'key-a', 'none', 1).catch((error: unknown) => error),
    ];
    await expect.poll(() => lines.length).toBeGreaterThan(0);
    await watching.stop();
    expect(errors.every((error) => error instanceof Error)).toBe(true);
    const said = [
      ...lines,
      ...errors.map((error) => `${(error as Error).stack} ${JSON.stringify(error)}`),
    ].join('\n');
    expect(said).not.toContain(secret);
    expect(said).not.toContain('esdb://');
  });
});

describe('the stand-in', () => {
  const folder = mkdtempSync(join(tmpdir(), 'keyledger-stand-in-'));
  const file = join(folder, 'log');
  afterEach(() => rmSync(file, { force: true }));
  afterAll(() => rmSync(folder, { recursive: true }));

  test('finds again what it had written, and cuts off what was half-written', async () => {
    const first = await serve({ file });
    server = first;
    const writer = open();
    const head = await append(writer, 'key-a', 'none', 3);
    await append(writer, 'key-b', 'none', 1);
    const before = await all(writer.readLog(0n));
    await writer.close();
    first.stop();
    truncateSync(file, statSync(file).size - 5);
    server = await serve({ file });
    const reader = open();
    expect(await all(reader.readLog(0n))).toEqual(before.slice(0, 3));
    await append(reader, 'key-a', head, 1);
    expect(await all(reader.readStream('key-a'))).toHaveLength(4);
  });

  test('keeps the rules for repeated ids, deletion and revisions', () => {
    const events = (...ids: string[]) =>
      ids.map((id) => ({
        id,
        type: 't',
        contentType: 'application/json',
        data: Buffer.from('{}'),
        metadata: Buffer.alloc(0),
      }));
    const kept = standInLog({ file: null });
    expect(kept.append('s', 'none', events('a', 'b'))).toMatchObject({ kind: 'written' });
    expect(kept.append('s', 'none', events('a', 'b'))).toMatchObject({ kind: 'idempotent' });
    expect(kept.append('s', 'none', events('a'))).toMatchObject({ kind: 'idempotent' });
    expect(kept.append('s', 'none', events('b', 'a'))).toMatchObject({ kind: 'wrong-version', current: 1 });
    expect(kept.append('s', 'none', events('a', 'b', 'c'))).toMatchObject({ kind: 'wrong-version' });
    expect(kept.append('s', 0, events('b'))).toMatchObject({ kind: 'idempotent' });
    expect(kept.append('s', 5, events('z'))).toMatchObject({ kind: 'wrong-version' });
    expect(kept.append('s', 'any', events('a', 'b'))).toMatchObject({ kind: 'idempotent' });
    kept.forgetIds();
    expect(kept.append('s', 'any', events('a', 'b'))).toMatchObject({ kind: 'written' });
    expect(kept.append('t', 'none', events('q', 'q'))).toMatchObject({ kind: 'wrong-version', current: 1 });
    expect(kept.append('other', 'none', events('a'))).toMatchObject({ kind: 'written' });
    kept.softDelete('s');
    expect(kept.read('s')).toBeNull();
    const [again] = (kept.append('s', 'none', events('d')) as { events: readonly { revision: number }[] })
      .events;
    expect(again!.revision).toBe(4);
    kept.tombstone('s');
    expect(kept.append('s', 'any', events('e'))).toEqual({ kind: 'deleted' });
    const big = events('f').map((event) => ({ ...event, data: Buffer.alloc(1_048_576) }));
    expect(kept.append('u', 'none', big)).toEqual({ kind: 'too-large' });
  });
});

test('nothing that the client does in the background ends the process', async () => {
  const rejections: unknown[] = [];
  const note = (error: unknown): void => void rejections.push(error);
  process.on('unhandledRejection', note);
  try {
    const own = open({ waits: quick, appendMsMax: 200 });
    const watching = watch(own, 0n);
    await watching.until(isCaughtUp);
    server.faults.appends.push('hang', 'lose-answer', 'lose-write');
    for (let i = 0; i < 4; i += 1) await append(own, freshStream(), 'none', 1).catch(() => undefined);
    server.goAway();
    await append(own, freshStream(), 'none', 1).catch(() => undefined);
    await server.listen();
    await watching.stop();
    await own.close();
    await expect.poll(() => server.subscribed.size).toBe(0);
    expect(rejections).toEqual([]);
  } finally {
    process.off('unhandledRejection', note);
  }
});

test('a log that was moved in from elsewhere is read as it was', async () => {
  const stream = freshStream();
  await append(store, stream, 'none', 3);
  const placed = await all(store.readLog(0n));
  const target = await serve();
  await insertPlaced(target.url, placed);
  server = target;
  const moved = await all(open().readLog(0n));
  expect(moved.map(({ hash }) => hash)).toEqual(placed.map(({ hash }) => hash));
  expect(moved.every(hashHolds)).toBe(true);
});
