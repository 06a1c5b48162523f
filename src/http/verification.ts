import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import type { HttpDeps, VerificationDesk } from './deps.ts';
import { After, refusalAnswers } from './schemas.ts';

/** The state of the seals, and a verification of the whole log while everything goes on. */
const SEALS_MAX = 50;

const Check = z.object({
  name: z.string(),
  ok: z.boolean(),
  detail: z.string().describe('What was looked at'),
  problems: z.number(),
  at: z
    .array(z.object({ position: z.string().nullable(), problem: z.string() }))
    .describe('The first problems'),
});

const Verification = z.object({
  status: z.enum(['none', 'running', 'done', 'failed']),
  started_at: z.string().nullable(),
  part: z.string().nullable().describe('What is being checked: log, invoices, or a read model'),
  done: z.number(),
  total: z.number(),
  ok: z.boolean().nullable().describe('Null before the verdict'),
  head: z.string().nullable(),
  sealed_to: z.string().nullable(),
  newest_seal: z.string().nullable().describe('Hash to note down, and to give to a later check'),
  events: z.number().nullable(),
  streams: z.number().nullable(),
  duration_ms: z.number().nullable(),
  checks: z.array(Check),
});

const Seal = z.object({
  position: z.string(),
  recorded_at: z.string(),
  covers_to: z.string(),
  hash: z.string(),
  key_id: z.string(),
});

export function verificationRoutes({ verification }: HttpDeps): FastifyPluginCallbackZod {
  const schema = { tags: ['audit'], response: { 200: Verification, ...refusalAnswers } };
  return (app, _options, done) => {
    app.get(
      '/api/audit/verification',
      {
        config: { settles: false },
        schema: { ...schema, summary: 'How far the verification is, and its verdict' },
      },
      () => answerOf(verification),
    );
    app.post(
      '/api/audit/verification',
      {
        schema: {
          ...schema,
          summary: 'Verify the whole log and every read model; goes on when one is at work',
          body: z.strictObject({}),
        },
      },
      async () => {
        await verification.start();
        return answerOf(verification);
      },
    );
    app.get(
      '/api/audit/seals',
      {
        schema: {
          summary: 'The newest seals of the log',
          tags: ['audit'],
          querystring: After,
          response: { 200: z.object({ data: z.array(Seal), next_cursor: z.null() }), ...refusalAnswers },
        },
      },
      async () => ({ data: [...(await verification.seals(SEALS_MAX))], next_cursor: null }),
    );
    done();
  };
}

async function answerOf(desk: VerificationDesk): Promise<z.output<typeof Verification>> {
  const { report, ...state } = await desk.state();
  return {
    ...state,
    ok: report?.ok ?? null,
    head: report?.head ?? null,
    sealed_to: report?.sealedTo ?? null,
    newest_seal: report?.newestSeal ?? null,
    events: report?.events ?? null,
    streams: report?.streams ?? null,
    duration_ms: report?.durationMs ?? null,
    checks: report?.checks.map((check) => ({ ...check, at: [...check.at] })) ?? [],
  };
}
