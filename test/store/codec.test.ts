import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { canonicalJson, type Json, JSON_DEPTH_MAX, type JsonObject } from '../../src/domain/json.ts';
import type { Actor, DomainEvent, NewEvent } from '../../src/events.ts';
import { decode, encode, hashHolds, headAfter } from '../../src/store/codec.ts';
import { UndecodableEvent, ZERO_HASH } from '../../src/store/event-store.ts';
import { entries } from '../../src/store/event-schemas.ts';
import type { Placed } from '../../src/store/stored-event.ts';
import { AT, keyGenerated, keySettings, newEvent, oneOfEach, spendRecorded } from '../support/events.ts';
import { someEvents } from '../support/log.ts';
import { storedExamples } from '../support/stored-examples.ts';

/** Any string of code units, halves of characters and NUL included. */
const text = fc.string({ unit: fc.nat(0xffff).map((code) => String.fromCharCode(code)) });
const name = fc
  .oneof(text, fc.constantFrom('constructor', 'toString', '1', '01', ''))
  .filter((it) => it !== '__proto__');
const json = fc.letrec<{ value: Json }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small' },
    fc.constant(null),
    fc.boolean(),
    fc.double({ noNaN: true, noDefaultInfinity: true }).map((it) => it + 0),
    fc.integer(),
    text,
    fc.array(tie('value'), { maxLength: 4 }),
    fc.dictionary(name, tie('value'), { maxKeys: 4 }).map((it) => ({ ...it })),
  ),
})).value;
const metadata = fc.dictionary(name, json, { maxKeys: 5 }).map((it): JsonObject => ({ ...it }));
const actor = fc.record<Actor>({ kind: fc.constantFrom('key', 'user'), id: text, onBehalfOf: text });

function placed(event: NewEvent, position = 1n): Placed {
  return {
    ...encode({ stream: 'key-1', expected: 'none', events: [event] })[0]!.stored,
    position,
    recordedAt: AT,
  };
}

describe('canonical JSON', () => {
  test('reads back to the same value, and that to the same bytes', () => {
    fc.assert(
      fc.property(json, (value) => {
        const written = canonicalJson(value);
        const read = JSON.parse(written) as Json;
        // Minus zero is written as zero.
        expect(read).toEqual(JSON.parse(JSON.stringify(value)));
        expect(canonicalJson(read)).toBe(written);
        expect(Buffer.from(written, 'utf8').toString('utf8')).toBe(written);
        // No line feeds and the like: one event is one line wherever it is written.
        expect(written.split('').filter((unit) => unit < ' ')).toEqual([]);
      }),
      { numRuns: 500 },
    );
  });

  test('is the same for the same facts in any order', () => {
    expect(canonicalJson({ b: 1, a: { d: 2n, c: undefined } })).toBe('{"a":{"d":"2"},"b":1}');
    expect(canonicalJson({ a: { d: '2' }, b: 1 })).toBe('{"a":{"d":"2"},"b":1}');
    expect(canonicalJson({ 10: 1, 9: 2, é: 3, z: 4 })).toBe('{"10":1,"9":2,"z":4,"é":3}');
  });

  const deep = (levels: number): Json => (levels === 0 ? 1 : [deep(levels - 1)]);
  test.each<[string, unknown]>([
    ['not a number', Number.NaN],
    ['endless numbers', Number.POSITIVE_INFINITY],
    ['nothing', undefined],
    ['holes', [undefined]],
    ['functions', { f: () => 1 }],
    ['symbols', Symbol('s')],
    ['dates', new Date(0)],
    ['maps', { m: new Map() }],
    ['bytes', Buffer.from('x')],
    ['boxes', Object('text')],
    ['a member named __proto__', JSON.parse('{"__proto__":{"admin":true}}')],
    ['too many levels', deep(JSON_DEPTH_MAX + 1)],
  ])('does not hold %s', (_, value) => {
    expect(() => canonicalJson(value)).toThrow(TypeError);
  });

  test('holds as many levels as it says', () => {
    expect(JSON.parse(canonicalJson(deep(JSON_DEPTH_MAX)))).toEqual(deep(JSON_DEPTH_MAX));
  });
});

describe('an event', () => {
  test('is read back as it was written, whatever JSON and text it holds', () => {
    const facts = fc.record({ metadata, alias: text, actor });
    fc.assert(
      fc.property(facts, ({ metadata, alias, actor }) => {
        const event = newEvent(keyGenerated({ settings: keySettings({ metadata, alias }) }), 'any', {
          actor,
        });
        const stored = placed(event);
        const read = decode(stored);
        expect(canonicalJson(read.event.data)).toBe(stored.data);
        expect(read).toMatchObject({ actor, event: { data: { settings: { alias } } } });
        expect(hashHolds(stored)).toBe(true);
      }),
      { numRuns: 300 },
    );
  });

  test('gives what reading it gives, before it is stored', () => {
    fc.assert(
      fc.property(metadata, (metadata) => {
        const event = newEvent(keyGenerated({ settings: keySettings({ metadata }) }), 'any');
        const [encoded] = encode({ stream: 'key-1', expected: 'none', events: [event] });
        const read = decode({ ...encoded!.stored, position: 1n, recordedAt: AT });
        // To the order of members, so that nothing can depend on where an event came from.
        expect(inspected(encoded!.event)).toBe(inspected(read.event));
      }),
    );
  });

  test('holds amounts of any size exactly', () => {
    fc.assert(
      fc.property(fc.bigInt(), fc.bigInt(), (priceNanos, costNanos) => {
        const read = decode(placed(newEvent(spendRecorded({ priceNanos, costNanos }), 'any')));
        expect(read.event.data).toMatchObject({ priceNanos, costNanos });
      }),
    );
  });

  test('cannot be stored with facts beside the known ones, at any depth', () => {
    const event = keyGenerated();
    const { data } = event;
    for (const wrong of [
      { ...data, prompt: 'secret' },
      { ...data, limits: { ...data.limits, wordsPerMinute: 1 } },
      { ...data, settings: { ...data.settings, note: null } },
    ]) {
      const events = [newEvent({ ...event, data: wrong }, 'any')];
      expect(() => encode({ stream: 's-1', expected: 'none', events })).toThrow(/does not know/);
    }
  });

  test('of spend is stored with the known facts only, and with whole numbers only', () => {
    const event = spendRecorded();
    const encoded = (data: object) =>
      encode({
        stream: 's-1',
        expected: 'none',
        events: [newEvent({ ...event, data: data as never }, 'any')],
      });
    expect(encoded({ ...event.data, prompt: 'secret' })[0]!.stored.data).not.toContain('secret');
    expect(() => encoded({ ...event.data, durationMs: 1.5 })).toThrow('not whole');
    expect(() => encoded({ ...event.data, firstByteMs: Number.NaN })).toThrow('not whole');
  });

  test('of a type or version that this build does not know cannot be read', () => {
    const stored = placed(newEvent(spendRecorded(), 'any'));
    for (const wrong of [
      { type: 'spend.invented' },
      { type: 'toString' },
      { schema: 0 },
      { schema: 99 },
      { data: '{}' },
      { data: '{' },
      { data: 'null' },
    ]) {
      expect(() => decode({ ...stored, ...wrong })).toThrow(UndecodableEvent);
    }
  });
});

describe('the hash chain', () => {
  const events = someEvents(3, 'chain');
  const [first, second, third] = encode({ stream: 'key-1', expected: 'none', events }).map(
    ({ stored }) => stored,
  );

  test('runs through a write and on into the next one', () => {
    expect([first!.previousHash, second!.previousHash]).toEqual([ZERO_HASH, first!.hash]);
    const one = encode({ stream: 'key-1', expected: 'none', events: events.slice(0, 2) });
    const two = encode({ stream: 'key-1', expected: headAfter(one), events: events.slice(2) });
    expect(two[0]!.stored).toEqual(third);
  });

  test.each<[string, Partial<Placed>]>([
    ['stream', { stream: 'key-2' }],
    ['revision', { revision: 1n }],
    ['id', { id: second!.id }],
    ['type', { type: 'key.unblocked' }],
    ['version', { schema: 2 }],
    ['agency', { agencyId: 'age_2' }],
    ['tenant', { tenantId: null }],
    ['instant', { occurredAt: '2026-11-20T10:00:00.001Z' }],
    ['actor', { actor: '{"id":"x","kind":"master"}' }],
    ['correlation', { correlationId: 'x' }],
    ['cause', { causationId: 'x' }],
    ['command', { commandHash: 'a'.repeat(64) }],
    ['predecessor', { previousHash: 'a'.repeat(64) }],
    ['facts', { data: '{"keyId":"key_2"}' }],
    ['facts, by a space', { data: first!.data.replace(':', ': ') }],
  ])('does not hold when the %s was changed', (_, changed) => {
    expect(hashHolds(first!)).toBe(true);
    expect(hashHolds({ ...first!, ...changed })).toBe(false);
  });

  test('tells facts that were moved between neighbours of the envelope', () => {
    const one = { correlationId: 'ab', causationId: 'c' };
    const two = { correlationId: 'a', causationId: 'bc' };
    const hashes = [one, two].map((ids) => placed(newEvent(spendRecorded(), 'any', ids)).hash);
    expect(new Set(hashes).size).toBe(2);
  });
});

describe('the stored examples', () => {
  const examples = storedExamples();

  test('there is one for every type and every version, and no other', () => {
    const known = Object.entries(entries).flatMap(([type, { upcasts }]) =>
      Array.from({ length: upcasts.length + 1 }, (_, i) => `${type} v${i + 1}`),
    );
    expect(examples.map(({ type, version }) => `${type} v${version}`).toSorted()).toEqual(known.toSorted());
    expect(Object.keys(oneOfEach).toSorted()).toEqual(Object.keys(entries).toSorted());
  });

  test.each(examples)('$type version $version is read, and its hash holds', ({ type, version, placed }) => {
    expect(placed).toMatchObject({ type, schema: version });
    expect(hashHolds(placed)).toBe(true);
    const read = decode(placed);
    expect(read).toMatchObject({ stream: placed.stream, position: 42n, hash: placed.hash, event: { type } });
    if (version < entries[read.event.type].upcasts.length + 1) return;
    const expected = { revision: placed.revision - 1n, hash: placed.previousHash };
    const [again] = encode({ stream: placed.stream, expected, events: [read] });
    expect({ ...again!.stored, position: placed.position, recordedAt: placed.recordedAt }).toEqual(placed);
  });
});

function inspected(event: DomainEvent): string {
  return JSON.stringify(event, (_, value: unknown) =>
    typeof value === 'bigint' ? { bigint: String(value) } : value,
  );
}
