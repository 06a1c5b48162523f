import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { Refusal } from '../errors.ts';
import type { Caller } from './caller.ts';
import { mayAudit } from './consult.ts';
import type { HttpDeps, Replayed } from './deps.ts';
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

const Budget = z.looseObject({
  level: z.string(),
  id: z.string(),
  window: z.string().nullable().describe('Null: for ever'),
  starts_at: z.string().nullable(),
  ends_at: z.string().nullable().describe('Not in the window'),
  budget: z.string(),
  spent: z.string().describe('Recorded up to that moment'),
  currency: z.string(),
});

const Change = z.object({ field: z.string(), before: AnyValue, after: AnyValue });

/** Where the answer is from. */
const computed = {
  at: z.string().describe('The instant that the state is of'),
  position: z.string().nullable().describe('Last event of the subject until then'),
  log_position: z.string().describe('The log had been read up to here'),
};

const Spend = z.looseObject({ month: z.string(), requests: z.number(), price: Money });

const History = z.looseObject({
  key_id: z.string(),
  ...computed,
  budgets: z.array(Budget).describe('What a call counted on then: key, project, tenant'),
  last_change: AnyJson.nullable().describe('Who changed it last until then'),
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

const TenantHistory = z.looseObject({
  tenant_id: z.string(),
  ...computed,
  state: AnyJson.nullable().describe('Contract, projects and keys; null when the tenant did not exist yet'),
  budgets: z.array(Budget),
  spend: z.array(Spend),
  last_change: AnyJson.nullable(),
});

const Difference = z.looseObject({
  from: z.object(computed),
  to: z.object(computed),
  changes: z.array(Change).describe('Members that differ, by path; null: was not there'),
});

const config = { access: 'audit' } as const;
const Subject = z.object({ id: z.string().describe('Key id, token hash or alias; deleted keys too') });
const TenantId = z.object({ id: z.string() });
const Between = After.extend({ from: At, to: At.optional() });

export function auditRoutes(deps: HttpDeps): FastifyPluginCallbackZod {
  const { replay, replayTenant, diff, diffTenant, publicKeys } = deps;
  return (app, _options, done) => {
    app.get(
      '/api/audit/keys/:id',
      {
        config,
        schema: {
          summary:
            'Replay a key from the log: who changed what and when, its state and its spend at that moment',
          tags: ['audit'],
          params: Subject,
          querystring: After.extend({ at: At.optional() }),
          response: { 200: History, ...refusalAnswers },
        },
      },
      async ({ caller, params, query: { at } }) => {
        const history = await replay(params.id, momentOf(at));
        return seen(caller, history, 'key_not_found') as unknown as z.output<typeof History>;
      },
    );

    app.get(
      '/api/audit/keys/:id/diff',
      {
        config,
        schema: {
          summary: 'What differs in a key between two moments',
          tags: ['audit'],
          params: Subject,
          querystring: Between,
          response: { 200: Difference, ...refusalAnswers },
        },
      },
      async ({ caller, params, query: { from, to } }) => {
        const found = await diff(params.id, momentOf(from)!, momentOf(to));
        return seen(caller, found, 'key_not_found') as unknown as z.output<typeof Difference>;
      },
    );

    app.get(
      '/api/audit/tenants/:id',
      {
        config,
        schema: {
          summary:
            'A tenant at a moment: contract, projects, keys by fingerprint, spend, who changed it last',
          tags: ['audit'],
          params: TenantId,
          querystring: After.extend({ at: At.optional() }),
          response: { 200: TenantHistory, ...refusalAnswers },
        },
      },
      async ({ caller, params, query: { at } }) => {
        const history = await replayTenant(params.id, momentOf(at));
        return seen(caller, history, 'not_found') as unknown as z.output<typeof TenantHistory>;
      },
    );

    app.get(
      '/api/audit/tenants/:id/diff',
      {
        config,
        schema: {
          summary: 'What differs in a tenant between two moments',
          tags: ['audit'],
          params: TenantId,
          querystring: Between,
          response: { 200: Difference, ...refusalAnswers },
        },
      },
      async ({ caller, params, query: { from, to } }) => {
        const found = await diffTenant(params.id, momentOf(from)!, momentOf(to));
        return seen(caller, found, 'not_found') as unknown as z.output<typeof Difference>;
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

function momentOf(at: string | undefined): bigint | string | null {
  if (at === undefined) return null;
  return /^\d+$/.test(at) ? BigInt(at) : at;
}

/** What is out of an auditor's scope does not exist for the auditor. */
function seen(caller: Caller | null, found: Replayed | null, code: 'key_not_found' | 'not_found'): Replayed {
  if (found !== null && mayAudit(caller, found)) return found;
  throw new Refusal(code, code === 'not_found' ? { what: 'tenant' } : {});
}
