import { z } from 'zod';
import type { Json } from '../domain/json.ts';
import { ENVIRONMENTS, type Limits } from '../domain/limits.ts';
import { formatNanos, nanosFromNumber } from '../domain/money.ts';

/** Pieces that the schemas of several route families are made of. */

const Problem = z.object({
  loc: z.array(z.union([z.string(), z.number()])).describe('Where: `body`, `querystring` …, then the path'),
  msg: z.string(),
  type: z.string(),
  ctx: z
    .record(z.string(), z.unknown())
    .optional()
    .describe('Bounds, formats and choices that the sentence names'),
});

export const ErrorAnswer = z
  .object({
    error: z.object({
      message: z.string(),
      type: z.string().nullable(),
      param: z.string().nullable().describe('The field at fault; null or "None" when none is'),
      code: z.string().describe('The HTTP status, as a string'),
      reason: z.string().describe('Stable name of the refusal'),
      detail: z.record(z.string(), z.union([z.string(), z.number(), z.null()])).optional(),
      id: z.string().optional().describe('On 500: quote it when you report the failure'),
    }),
    detail: z.array(Problem).optional().describe('On 422: every fault of the input'),
  })
  .meta({ id: 'Error', description: 'A refusal, or a failure of the server' });

/** The answers that every route can give besides its own. */
export const refusalAnswers = {
  400: ErrorAnswer.describe('The request makes no sense as it is'),
  401: ErrorAnswer.describe('No key, an unusable key, or a key without the right'),
  403: ErrorAnswer.describe('The key is not allowed to call this route'),
  404: ErrorAnswer.describe('No such thing'),
  405: ErrorAnswer.describe('Another method is needed'),
  409: ErrorAnswer.describe('The state of the thing does not allow it'),
  413: ErrorAnswer.describe('The body is too large'),
  415: ErrorAnswer.describe('The body is not JSON'),
  422: ErrorAnswer.describe('A field is missing or has the wrong type'),
  500: ErrorAnswer.describe('A defect; the log has its cause'),
  503: ErrorAnswer.describe('The database cannot be reached or a read model is behind'),
};

export const After = z.object({
  after: z
    .string()
    .optional()
    .describe(
      'Position that the answer must include, from x-keyledger-position; everything written by default',
    ),
});

export const Page = After.extend({
  limit: z.coerce.number().int().min(1).max(100).default(50),
  cursor: z.string().max(500).optional().describe('next_cursor of the page before'),
});

export const Money = z
  .object({ amount: z.string().describe('Decimal, exact'), currency: z.string().describe('ISO 4217') })
  .meta({ id: 'Money' });

export function money(nanos: bigint, currency: string): z.infer<typeof Money> {
  return { amount: formatNanos(nanos, 2), currency };
}

export const EnvironmentName = z.enum(ENVIRONMENTS);

export const LimitsAnswer = z
  .object({
    requests_per_minute: z.number().nullable(),
    tokens_per_minute: z.number().nullable(),
    parallel_requests: z.number().nullable(),
    models: z.array(z.string()).describe('Empty: every model of the enclosing scope'),
    budget: Money.extend({ window: z.string().nullable().describe('Null: for ever') }).nullable(),
  })
  .meta({ id: 'Limits', description: 'Null means unlimited' });

export function limitsAnswer(limits: Limits, currency: string): z.infer<typeof LimitsAnswer> {
  const { requestsPerMinute, tokensPerMinute, parallelRequests, models, budget } = limits;
  return {
    requests_per_minute: requestsPerMinute,
    tokens_per_minute: tokensPerMinute,
    parallel_requests: parallelRequests,
    models: [...models],
    budget: budget === null ? null : { ...money(budget.nanos, currency), window: budget.window },
  };
}

/** A LiteLLM field that may be left out or null. */
export function optional<T extends z.ZodType>(schema: T): z.ZodOptional<z.ZodNullable<T>> {
  return schema.nullable().optional();
}

/** Keeps a budget far inside what the columns and a JSON number can hold. */
const AMOUNT_MAX = 1e12;

/** A JSON number or a decimal string such as "250". */
export const Amount = z.union([
  z.number().min(-AMOUNT_MAX).max(AMOUNT_MAX),
  z.string().regex(/^-?\d{1,12}(\.\d{1,20})?$/, 'expected a decimal number'),
]);

export function nanosOf(amount: z.infer<typeof Amount>): bigint {
  return nanosFromNumber(typeof amount === 'number' && Math.abs(amount) < 1e-20 ? 0 : amount);
}

/** A whole number; digits in a string are read as one. */
export const Whole = z.union([
  z.number().int(),
  z
    .string()
    .regex(/^-?\d{1,15}$/, 'expected a whole number')
    .transform(Number),
]);

export const ShortText = z.string().max(500);
export const Texts = z.array(z.string().min(1).max(500)).max(10_000);
/** Input comes from JSON.parse and output goes to JSON.stringify: it is JSON, and is not walked again. */
export const AnyValue = z.unknown() as z.ZodType<Json>;
export const AnyJson = z.record(z.string(), AnyValue);
