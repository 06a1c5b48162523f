import { pino } from 'pino';
import { expect, test } from 'vitest';
import { models } from '../projections/models.ts';
import type { DomainEvent } from '../src/events.ts';
import { createRouter } from '../src/gateway/router.ts';
import { memoryTable } from '../src/memory-table.ts';
import { createModelBook } from '../src/model-book.ts';
import { credentialSeal } from '../src/model-credentials.ts';
import { modelAdded, recorded } from './support/events.ts';

const seal = credentialSeal('salt');

function book() {
  const table = memoryTable(models);
  let position = 0n;
  const apply = (event: DomainEvent) => table.apply(recorded(event, { position: (position += 1n) }));
  const log = pino({ level: 'silent' });
  return {
    apply,
    ...createModelBook({
      configured: [],
      table,
      seal,
      upstreamBaseUrl: undefined,
      seed: (deployment) => deployment,
      log,
    }),
  };
}
const added = (id: string, name: string) =>
  modelAdded({ id, name, sealed: seal.seal(id, { api_key: `key of ${id}` }) });

test('a model is served from the moment on that it is known, under its name, with its key and costs', () => {
  const { apply, current } = book();
  expect(current()).toEqual([]);
  apply(added('mod_1', 'small'));
  expect(current()).toMatchObject([
    { id: 'mod_1', publicName: 'small', apiKey: 'key of mod_1', costRates: { input: 150_000_000n } },
  ]);
  expect(current()).toBe(current());
});

test('a model whose credentials cannot be opened is left out, and the others are served', () => {
  const { apply, current } = book();
  apply(added('mod_1', 'small'));
  apply(modelAdded({ id: 'mod_2', sealed: credentialSeal('lost').seal('mod_2', { api_key: 'x' }) }));
  expect(current().map(({ id }) => id)).toEqual(['mod_1']);
});

test('the router follows: changed models are other deployments, unchanged ones the same, removed ones gone', () => {
  const { apply, current } = book();
  const router = createRouter(current, () => 0);
  expect(router.pick('small')).toBeNull();
  apply(added('mod_1', 'small'));
  apply(added('mod_2', 'openai/*'));
  const [small, wild] = [router.pick('small')!, router.pick('openai/gpt')!];
  expect([small.id, wild.id]).toEqual(['mod_1', 'mod_2']);
  const before = router.generation();
  expect(router.generation()).toBe(before);
  apply({ ...modelAdded({ id: 'mod_1', name: 'small', sealed: null }), type: 'model.changed' });
  expect(router.pick('small')).not.toBe(small);
  expect(router.pick('openai/gpt')).toBe(wild);
  expect(router.generation()).toBe(before + 1);
  apply({ type: 'model.removed', data: { id: 'mod_2' } });
  expect(router.pick('openai/gpt')).toBeNull();
  // A request to it may still be on its way.
  expect(router.standingOf(wild).deployment).toBe(wild);
  expect(router.hasOthers(wild)).toBe(false);
});
