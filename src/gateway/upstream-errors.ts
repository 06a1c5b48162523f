import type { IncomingHttpHeaders } from 'node:http';
import type { UpstreamErrorBody } from './answers.ts';
import type { Exchange } from './exchange.ts';
import { isRecord } from './call.ts';
import { headerLine } from './head.ts';

/**
 * Errors of upstreams in the envelope that every error has here, with LiteLLM's types. A client
 * must not mistake the gateway's credential for its own, and never see that credential.
 */
export interface MappedError {
  readonly status: number;
  readonly body: UpstreamErrorBody;
}

const MESSAGE_LENGTH_MAX = 2_000;
/** Not a client's business, and told as its own fault by upstreams. */
const CREDENTIAL_STATUSES: Readonly<Record<number, string>> = {
  401: 'The model endpoint did not accept the credential of this gateway. Your own key is valid; please tell the administrator.',
  403: 'The model endpoint forbids this to the gateway. Your own key is valid; please tell the administrator.',
};

/** Maps an upstream's answer with an error status. `body` may be anything. */
export function mapUpstreamError(status: number, body: string, secret: string | null): MappedError {
  const error = errorIn(parse(body));
  return mapped(status, error, secret);
}

/** Maps an error object that came with status 200; null when it is none. */
export function mapErrorObject(answer: unknown, secret: string | null): MappedError | null {
  const error = errorIn(answer);
  if (error === null) return null;
  const code = Number(error['code'] ?? error['status']);
  const status = Number.isInteger(code) && code >= 400 && code <= 599 ? code : 502;
  return mapped(status, error, secret);
}

function mapped(
  status: number,
  error: Readonly<Record<string, unknown>> | null,
  secret: string | null,
): MappedError {
  const given = typeof error?.['message'] === 'string' ? scrub(error['message'], secret) : '';
  const generic = `The model endpoint answered with status ${status}.`;
  const message = CREDENTIAL_STATUSES[status] ?? (given === '' ? generic : given);
  const param = typeof error?.['param'] === 'string' ? scrub(error['param'], secret) : null;
  const type = typeOf(status, error?.['type'], secret);
  return { status, body: { error: { message, type, param, code: String(status) } } };
}

function typeOf(status: number, given: unknown, secret: string | null): string {
  if (status === 401) return 'authentication_error';
  if (status === 403) return 'permission_error';
  if (status === 404) return 'not_found_error';
  if (status === 429) return 'throttling_error';
  if (status >= 500) return 'internal_server_error';
  return typeof given === 'string' && given !== '' ? scrub(given, secret) : 'bad_request_error';
}

/** Cuts out the upstream's credential, and whatever else looks like one. */
export function scrub(text: string, secret: string | null): string {
  const short = text.slice(0, MESSAGE_LENGTH_MAX + (secret?.length ?? 0));
  const without = secret === null || secret === '' ? short : short.replaceAll(secret, '***');
  return without.slice(0, MESSAGE_LENGTH_MAX).replaceAll(/\bsk-[\w*.-]{6,}/g, 'sk-***');
}

function errorIn(answer: unknown): Readonly<Record<string, unknown>> | null {
  if (!isRecord(answer)) return null;
  const { error } = answer;
  if (typeof error === 'string') return { message: error };
  return isRecord(error) ? error : null;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return null;
  }
}

/** Whether an error says that the prompt is too long for the model. */
export function isContextProblem(status: number, body: string): boolean {
  if (status !== 400 && status !== 413) return false;
  return /context_length_exceeded|maximum context length|context window|prompt is too long/i.test(body);
}

const PASSED_BACK = /^(?:x-ratelimit-|retry-after$|x-request-id$|openai-processing-ms$)/;

const PRINTABLE = /^[\x20-\x7e]*$/;

/** How the answer was found, and the upstream's own limits and ids under names that cannot be mistaken for ours. */
export function providerHeaders(
  headers: IncomingHttpHeaders,
  { firstModel, retries, fallbacks }: Pick<Exchange, 'firstModel' | 'retries' | 'fallbacks'>,
): string {
  const group = PRINTABLE.test(firstModel) ? firstModel : encodeURIComponent(firstModel);
  let passed =
    `x-litellm-model-group: ${group}\r\nx-litellm-attempted-retries: ${retries}\r\n` +
    `x-litellm-attempted-fallbacks: ${fallbacks}\r\n`;
  for (const name in headers) {
    const value = headers[name];
    if (typeof value === 'string' && PASSED_BACK.test(name) && PRINTABLE.test(value))
      passed += headerLine(`llm_provider-${name}`, value);
  }
  return passed;
}
