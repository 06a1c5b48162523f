import { describe, expect, test } from 'vitest';
import { refusals } from '../../src/refusals.ts';
import { faultsIn, type Schema } from '../../src/ui/api/check.ts';
import { problemsOf, type Refused, sentenceOf, worded } from '../../src/ui/sentences.ts';
import { germanRefusals } from '../../src/ui/words/refusals.ts';
import { isWord, words } from '../../src/ui/words/words.ts';

const refused = (reason: string, about: Partial<Refused> = {}): Refused => ({
  reason,
  message: 'as the API says it',
  detail: {},
  param: null,
  faults: [],
  ...about,
});
const placesIn = (sentence: string) => [...sentence.matchAll(/\{\w+\}/g)].map(String);

test('every refusal of the API has a German sentence, which names nothing that the refusal does not', () => {
  for (const [code, [, , sentence]] of Object.entries(refusals)) {
    const word = `refusal.${code}`;
    const german = isWord(word) ? words[word][1] : germanRefusals[code];
    expect(german, code).toBeDefined();
    expect(placesIn(sentence), code).toEqual(expect.arrayContaining(placesIn(german!)));
  }
  const known = [...Object.keys(refusals), 'defect'];
  expect(known).toEqual(expect.arrayContaining(Object.keys(germanRefusals)));
});

describe('a refusal is said', () => {
  test('in the language of the reader, with its values', () => {
    const taken = refused('alias_taken', { detail: { alias: 'shop' }, param: 'key_alias' });
    expect(sentenceOf(taken, 'de')).toContain('„shop“');
    expect(sentenceOf(taken, 'en')).toBe('as the API says it');
    expect(sentenceOf(refused('not_found', { detail: { what: 'tenant' } }), 'de')).toContain('Mandant');
  });

  test('at the field that it is about', () => {
    const taken = refused('alias_taken', { detail: { alias: 'shop' }, param: 'key_alias' });
    expect(problemsOf(taken, 'de')).toEqual({ key_alias: sentenceOf(taken, 'de') });
    const negative = { problem: 'max_budget must not be negative.' };
    const limit = refused('bad_request', { detail: negative, param: 'max_budget' });
    expect(problemsOf(limit, 'de')).toEqual({ max_budget: 'Darf nicht negativ sein.' });
  });

  test('and what a verification found, too', () => {
    const detail = '4 events in 2 streams: revisions without gaps, hashes hold and continue';
    expect(worded(detail, 'de')).toMatch(/^4 Ereignisse in 2 Streams: /);
    expect(worded('left alone for a while after status 429', 'de')).toBe(
      'Der Upstream antwortet mit Status 429.',
    );
    expect(worded(detail, 'en')).toBe(detail);
  });

  test('as the API says it when its code or its sentence is not known', () => {
    expect(sentenceOf(refused('of_tomorrow'), 'de')).toBe('as the API says it');
    const odd = refused('bad_request', { detail: { problem: 'Something odd.' } });
    expect(sentenceOf(odd, 'de')).toBe('Something odd.');
  });
});

describe('what the API has a schema for', () => {
  const schema: Schema = {
    type: 'object',
    properties: {
      name: { type: 'string', minLength: 1, maxLength: 3 },
      email: { anyOf: [{ type: 'string', format: 'email', pattern: '^\\S+@\\S+$' }, { type: 'null' }] },
      limit: {
        anyOf: [
          { type: 'integer', minimum: 0 },
          { type: 'string', pattern: '^\\d+$' },
        ],
      },
      role: { type: 'string', enum: ['admin', 'user'] },
      place: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
      tags: { type: 'array', items: { type: 'string', minLength: 2 }, minItems: 1 },
      blocked: { type: ['boolean', 'null'] },
    },
    required: ['name'],
    additionalProperties: false,
  };
  const problems = (body: unknown, language: 'en' | 'de' = 'de') =>
    problemsOf(refused('invalid_input', { faults: faultsIn(schema, body) }), language);

  test('is let through as it should be', () => {
    const full = {
      name: 'abc',
      email: null,
      limit: '12',
      role: 'user',
      place: { city: 'Kiel' },
      tags: ['ab'],
    };
    expect(problems(full)).toEqual({});
    expect(problems({ name: 'a', email: 'a@b', limit: 0, blocked: null })).toEqual({});
    expect(problems({ name: 'a', role: undefined })).toEqual({});
  });

  test('is complained about at its field, in the language of the reader', () => {
    const wrong = { name: 'abcd', email: 'x', limit: -1, role: 'king', place: {}, tags: ['a'], other: 1 };
    expect(problems(wrong)).toEqual({
      name: 'Höchstens 3 Zeichen',
      email: 'Das ist keine E-Mail-Adresse',
      limit: 'Mindestens 0',
      role: 'Eins von: admin, user',
      'place.city': 'Diese Angabe fehlt',
      'tags.0': 'Mindestens 2 Zeichen',
      other: 'Das lässt sich hier nicht angeben',
    });
    expect(problems({}, 'en')).toEqual({ name: 'This is needed' });
    expect(problems({ name: 'a', limit: 1.5 }, 'en')).toEqual({ limit: 'A whole number, please' });
    expect(problems('text', 'en')).toEqual({ '': 'This is not of the expected kind' });
  });

  test('is complained about in the same words when only the API has seen it', () => {
    const fault = {
      field: 'tags',
      type: 'too_small',
      ctx: { origin: 'array', minimum: 1 },
      message: 'Too small',
    };
    expect(problemsOf(refused('invalid_input', { faults: [fault] }), 'de')).toEqual({
      tags: 'Mindestens 1 auswählen',
    });
    const rule = { field: 'iban', type: 'custom', ctx: {}, message: 'expected an IBAN' };
    expect(problemsOf(refused('invalid_input', { faults: [rule] }), 'en')).toEqual({
      iban: 'expected an IBAN',
    });
  });
});
