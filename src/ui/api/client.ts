import type { Fault } from './check.ts';
import type { Reads, Writes } from './contract.ts';

/** Calls of the API with the session's cookie. Whatever goes wrong is thrown as an ApiError. */
export class ApiError extends Error {
  /** 0 when the server could not be reached. */
  readonly status: number;
  /** Stable name of the refusal; `network` when the server could not be reached. */
  readonly reason: string;
  /** What the sentence names, by name. */
  readonly detail: Readonly<Record<string, unknown>>;
  /** The field that the refusal is about; null when it is about none. */
  readonly param: string | null;
  /** What is wrong with single fields. */
  readonly faults: readonly Fault[];

  constructor(status: number, reason: string, message: string, about: About = {}) {
    super(message);
    this.status = status;
    this.reason = reason;
    this.detail = about.detail ?? {};
    this.param = about.param ?? null;
    this.faults = about.faults ?? [];
  }
}

interface About {
  readonly detail?: Readonly<Record<string, unknown>>;
  readonly param?: string | null;
  readonly faults?: readonly Fault[];
}

/** What the console found wrong before it sent anything. */
export function invalidInput(faults: readonly Fault[]): ApiError {
  return new ApiError(422, 'invalid_input', 'The request is not valid.', { faults });
}

export type Query = Readonly<Record<string, string | number | undefined>>;
export type Params = Readonly<Record<string, string>>;

/** Heard when the server says that nobody is signed in any more. */
export const SIGNED_OUT = 'keyledger:signed-out';

export function urlOf(route: string, params: Params = {}, query: Query = {}): string {
  const path = route
    .slice(route.indexOf(' ') + 1)
    .replaceAll(/:(\w+)/g, (_, name: string) => encodeURIComponent(params[name] ?? ''));
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== '') search.set(name, String(value));
  }
  return search.size === 0 ? path : `${path}?${search}`;
}

export function read<Route extends keyof Reads>(
  route: Route,
  { params, query, signal }: { params?: Params; query?: Query; signal?: AbortSignal } = {},
): Promise<Reads[Route]> {
  return call(route, urlOf(route, params, query), signal === undefined ? {} : { signal });
}

export function write<Route extends keyof Writes>(
  route: Route,
  { params, body, id, bearer }: { params?: Params; body?: unknown; id?: string; bearer?: string } = {},
): Promise<Writes[Route]> {
  return call(route, urlOf(route, params), {
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    headers: {
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...(id === undefined ? {} : { 'idempotency-key': id }),
      ...(bearer === undefined ? {} : { authorization: `Bearer ${bearer}` }),
    },
  });
}

async function call<T>(route: string, url: string, init: RequestInit): Promise<T> {
  const method = route.slice(0, route.indexOf(' '));
  const headers = { ...(init.headers as Record<string, string> | undefined), 'x-keyledger-console': '1' };
  let response: Response;
  try {
    response = await fetch(url, { ...init, method, headers, credentials: 'same-origin' });
  } catch (error) {
    if (error instanceof DOMException && error.name === 'AbortError') throw error;
    throw new ApiError(0, 'network', 'The server cannot be reached.');
  }
  const text = await response.text();
  const body = parsed(text);
  if (response.ok) return body as T;
  const failure = errorIn(response.status, body);
  const signedOut = failure.reason === 'session_expired' || failure.reason === 'no_key';
  if (signedOut && route !== 'GET /api/session') window.dispatchEvent(new Event(SIGNED_OUT));
  throw failure;
}

function parsed(text: string): unknown {
  try {
    return text === '' ? null : (JSON.parse(text) as unknown);
  } catch {
    return null;
  }
}

interface ErrorBody {
  readonly error?: {
    readonly message: string;
    readonly reason?: string;
    readonly param?: string | null;
    readonly detail?: Readonly<Record<string, unknown>>;
  };
  readonly detail?: readonly {
    readonly loc: readonly (string | number)[];
    readonly msg: string;
    readonly type: string;
    readonly ctx?: Readonly<Record<string, unknown>>;
  }[];
}

function errorIn(status: number, body: unknown): ApiError {
  const { error, detail = [] } = (body ?? {}) as ErrorBody;
  const faults = detail.map(({ loc, msg, type, ctx = {} }) => ({
    field: loc.slice(1).join('.'),
    type: type === 'value_error' ? 'custom' : type,
    ctx,
    message: msg,
  }));
  const { param = null } = error ?? {};
  return new ApiError(status, error?.reason ?? 'defect', error?.message ?? `HTTP ${status}`, {
    detail: error?.detail ?? {},
    param: param === 'None' ? null : param,
    faults,
  });
}
