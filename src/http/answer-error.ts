import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import { hasZodFastifySchemaValidationErrors } from 'fastify-type-provider-zod';
import { defectBody, Refusal, refusalBody } from '../errors.ts';
import { LogUnavailable } from '../store/event-store.ts';
import type { HttpDeps } from './deps.ts';

/**
 * The one place where something thrown becomes an answer: refusals as they are, what the framework
 * and the database driver throw as the refusal it means, and everything else as a defect with an
 * id, logged with its cause.
 */
export function answerError(
  deps: Pick<HttpDeps, 'log' | 'bodyBytesMax'>,
  error: unknown,
  request: FastifyRequest,
  reply: FastifyReply,
): FastifyReply {
  const faults = faultsOf(error);
  const refusal = faults.length > 0 ? invalidInput(faults) : refusalFor(error, deps);
  if (refusal === null) {
    const { id, method } = request;
    deps.log.error(
      { err: error, requestId: id, method, route: request.routeOptions.url },
      'a request failed',
    );
    return reply.status(500).send(defectBody(id));
  }
  if (refusal.code === 'database_unavailable') {
    deps.log.warn({ err: error, requestId: request.id }, 'the database cannot be reached');
  }
  if (refusal.retryAfterSeconds !== null) void reply.header('retry-after', String(refusal.retryAfterSeconds));
  const detail =
    refusal.code === 'invalid_input' ? { detail: faults.length > 0 ? faults : [faultOf(refusal)] } : {};
  return reply.status(refusal.status).send({ ...refusalBody(refusal), ...detail });
}

/** One wrong place in the input, as FastAPI reports it. */
interface Fault {
  readonly loc: readonly (string | number)[];
  readonly msg: string;
  readonly type: string;
  /** What the sentence says in numbers and names, so that it can be said in another language. */
  readonly ctx?: Readonly<Record<string, FaultValue>>;
}

type FaultValue = string | number | boolean | readonly (string | number | boolean)[];

const FAULTS_MAX = 20;

function faultsOf(error: unknown): readonly Fault[] {
  if (!hasZodFastifySchemaValidationErrors(error)) return [];
  const context = error.validationContext ?? 'body';
  return error.validation.slice(0, FAULTS_MAX).map(({ instancePath, message, keyword, params }) => {
    const path = instancePath.split('/').filter((part) => part !== '');
    const steps = path.map((part) => (/^\d+$/.test(part) ? Number(part) : part));
    const ctx = contextOf(params);
    return {
      loc: [context, ...steps],
      msg: message ?? 'is not valid',
      type: keyword,
      ...(Object.keys(ctx).length === 0 ? {} : { ctx }),
    };
  });
}

/** Of what zod knows about a fault, the bounds, formats and choices; never what was sent. */
const SAID = ['expected', 'origin', 'minimum', 'maximum', 'inclusive', 'format', 'divisor', 'values', 'keys'];

function contextOf(params: Readonly<Record<string, unknown>>): Record<string, FaultValue> {
  return Object.fromEntries(
    Object.entries(params).filter(
      (entry): entry is [string, FaultValue] =>
        SAID.includes(entry[0]) && [entry[1]].flat().every((value) => isPlain(value)),
    ),
  );
}

function isPlain(value: unknown): boolean {
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean';
}

function invalidInput(faults: readonly Fault[]): Refusal {
  const problems = faults.map(({ loc, msg }) => `${loc.join('.')}: ${msg}`).join('; ');
  const [, field] = faults[0]!.loc;
  return new Refusal('invalid_input', { problems }, field === undefined ? {} : { param: String(field) });
}

function faultOf(refusal: Refusal): Fault {
  const loc = refusal.param === null ? ['body'] : ['body', refusal.param];
  return { loc, msg: String(refusal.detail['problems']), type: 'value_error' };
}

function refusalFor(error: unknown, deps: Pick<HttpDeps, 'bodyBytesMax'>): Refusal | null {
  if (error instanceof Refusal) return error;
  if (error instanceof LogUnavailable || isConnectionFailure(error))
    return new Refusal('database_unavailable', {}, { retryAfterSeconds: 1 });
  const { code, statusCode } = error as Partial<FastifyError>;
  switch (code) {
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
      return new Refusal('unsupported_media_type');
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return new Refusal('body_too_large', { limitBytes: deps.bodyBytesMax });
    case 'FST_ERR_CTP_INVALID_CONTENT_LENGTH':
      return new Refusal('bad_request', { problem: 'The body is not as long as content-length says.' });
    case 'FST_ERR_BAD_URL':
      return new Refusal('bad_request', { problem: 'The path is not valid percent-encoding.' });
    case 'FST_ERR_MAX_PARAM_LENGTH':
      return new Refusal('bad_request', { problem: 'A part of the path is too long.' });
    default:
      break;
  }
  const clientFault = statusCode !== undefined && statusCode >= 400 && statusCode < 500;
  return clientFault ? new Refusal('bad_request', { problem: 'The request could not be read.' }) : null;
}

/** Error codes of the network and of a PostgreSQL that is starting, stopping or full. */
const CONNECTION_FAILURES: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'ENOTFOUND',
  'EAI_AGAIN',
  'ETIMEDOUT',
  'ENOENT',
  '53300',
  '57P01',
  '57P02',
  '57P03',
]);
const CONNECTION_LOST =
  /^(Connection terminated|timeout exceeded when trying to connect|Client has encountered a connection error|Cannot use a pool after calling end)/;

function isConnectionFailure(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const { code } = error as { code?: unknown };
  if (typeof code === 'string' && (CONNECTION_FAILURES.has(code) || /^08\w{3}$/.test(code))) return true;
  return CONNECTION_LOST.test(error.message);
}
