import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { Refusal } from '../errors.ts';
import type { HttpDeps } from './deps.ts';
import { After, AnyJson, AnyValue, Money, refusalAnswers } from './schemas.ts';

const Position = z.string().regex(/^\d{1,18}$/);
const At = z
  .union([Position, z.iso.datetime({ offset: true })], { error: 'expected a position or an ISO instant' })
  .describe('A position or an instant of recording, inclusive; everything up to now by default');

const Step = z.looseObject({
  position: z.string(),
  revision: z.string(),
  type: z.string(),
  recorded_at: z.string(),
  occurred_at: z.string(),
  actor: z.looseObject({ kind: z.string(), id: z.string(), on_behalf_of: z.string().nullable() }),
  correlation_id: z.string().describe('x-request-id of the request that led to it'),
  causation_id: z.string(),
  changes: z.array(z.looseObject({ field: z.string(), before: AnyValue, after: AnyValue })),
  state: AnyJson.describe('The whole state after this step'),
});

const Spend = z.looseObject({ month: z.string(), requests: z.number(), price: Money });

const History = z.looseObject({
  key_id: z.string(),
  at: z.string().describe('The instant that the state is of'),
  state: AnyJson.nullable().describe('Null when the key did not exist yet'),
  acceptance: AnyJson.describe('Whether a call with the secret would have been let in at that instant'),
  steps: z.array(Step),
  spend: z.array(Spend).describe('Recorded up to that moment, by month of admission'),
});

const Key = z.looseObject({
  key_id: z.string(),
  public_key: z.string().describe('PEM'),
  valid_from: z.string(),
  valid_until: z.string().nullable().describe('Null while it is in force'),
});

const PublicKeys = Key.extend({ algorithm: z.literal('Ed25519'), earlier: z.array(Key) });

export function auditRoutes({ replay, publicKeys }: HttpDeps): FastifyPluginCallbackZod {
  return (app, _options, done) => {
    app.get(
      '/api/audit/keys/:id',
      {
        schema: {
          summary:
            'Replay a key from the log: who changed what and when, its state and its spend at that moment',
          tags: ['audit'],
          params: z.object({ id: z.string().describe('Key id, token hash or alias; deleted keys too') }),
          querystring: After.extend({ at: At.optional() }),
          response: { 200: History, ...refusalAnswers },
        },
      },
      async ({ params, query: { at } }) => {
        const until = at !== undefined && /^\d+$/.test(at) ? BigInt(at) : (at ?? null);
        const history = await replay(params.id, until);
        if (history === null) throw new Refusal('key_not_found');
        return history as z.output<typeof History>;
      },
    );
    app.get(
      '/api/audit/public-key',
      {
        config: { access: 'public' },
        schema: {
          summary: 'The key that the log is sealed with, and those before it',
          description: 'Keep it: whoever checks an export with it knows that nobody else sealed the log.',
          tags: ['audit'],
          response: { 200: PublicKeys, ...refusalAnswers },
        },
      },
      async () => {
        const keys = await publicKeys();
        if (keys === null) throw new Refusal('not_found', { what: 'signing key' });
        return keys as z.output<typeof PublicKeys>;
      },
    );
    done();
  };
}
