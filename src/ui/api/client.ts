import type { Reads, Writes } from './contract.ts';

/** Calls of the API with the session's cookie. Whatever goes wrong is thrown as an ApiError. */
export class ApiError extends Error {
  /** 0 when the server could not be reached. */
  readonly status: number;
  /** Stable name of the refusal; `network` when the server could not be reached. */
  readonly reason: string;
  /** Problems by the field of the body that they are about. */
  readonly fields: Readonly<Record<string, string>>;

  constructor(
    status: number,
    reason: string,
    message: string,
    fields: Readonly<Record<string, string>> = {},
  ) {
    super(message);
    this.status = status;
    this.reason = reason;
    this.fields = fields;
  }
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
  readonly error?: { readonly message: string; readonly reason?: string; readonly param?: string | null };
  readonly detail?: readonly { readonly loc: readonly (string | number)[]; readonly msg: string }[];
}

function errorIn(status: number, body: unknown): ApiError {
  const { error, detail = [] } = (body ?? {}) as ErrorBody;
  const fields: Record<string, string> = {};
  for (const { loc, msg } of detail) {
    if (loc.length > 1) fields[loc.slice(1).join('.')] = msg;
  }
  if (detail.length === 0 && error?.param != null && error.param !== 'None')
    fields[error.param] = error.message;
  return new ApiError(status, error?.reason ?? 'defect', error?.message ?? `HTTP ${status}`, fields);
}
