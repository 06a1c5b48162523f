import type { IncomingHttpHeaders } from 'node:http';
import type { Readable } from 'node:stream';
import { type Dispatcher, Pool } from 'undici';
import type { Deployment } from '../domain/deployment.ts';
import type { Route } from './routes.ts';

/**
 * Calls to upstreams: one pool of kept-alive connections per origin, redirects never followed,
 * headers built from what the administrator configured and nothing of the client's. A receiver
 * hears `onHead`, any number of `onData`, and then exactly one of `onEnd` and `onFailure`; nothing
 * after it has aborted the call.
 */
export interface Receiver {
  onHead(status: number, headers: IncomingHttpHeaders): void;
  onData(chunk: Buffer): void;
  onEnd(): void;
  onFailure(failure: UpstreamFailure, cause: unknown): void;
}

/** `unreachable`: no connection; `timed-out`: nothing came for too long; `broken`: it ended in the middle. */
export type UpstreamFailure = 'unreachable' | 'timed-out' | 'broken';

export interface UpstreamCall {
  abort(): void;
  /** Stops reading until `resume`; what is on its way already still comes. */
  pause(): void;
  resume(): void;
}

export interface UpstreamTimeouts {
  readonly connectMs: number;
  /**
   * Without a byte, before the answer and in the middle of it. One value for both: undici keeps one
   * timer per connection, and makes two new ones for every request when they differ.
   */
  readonly quietMs: number;
}

export interface Upstreams {
  send(
    deployment: Deployment,
    route: Route,
    body: Buffer | FormBody,
    clientHeaders: IncomingHttpHeaders,
    receiver: Receiver,
  ): UpstreamCall;
  close(): Promise<void>;
}

/** An upload on its way through. */
export interface FormBody {
  readonly contentType: string;
  readonly bytes: Readable;
}

/** Of the client's headers, these go on. */
const PASSED_ON = ['openai-beta', 'accept-language'] as const;
const PASSED_ON_TO_ANTHROPIC = ['anthropic-version', 'anthropic-beta', 'accept-language'] as const;
const ANTHROPIC_VERSION = '2023-06-01';

interface Target {
  readonly pool: Pool;
  readonly basePath: string;
  /** For JSON. */
  readonly headers: string[];
  readonly anthropicHeaders: string[];
  /** Without a content type. */
  readonly formHeaders: string[];
}

export function createUpstreams(options: {
  readonly connectionsMax: number;
  readonly timeouts: UpstreamTimeouts;
  readonly userAgent: string;
}): Upstreams {
  const { connectionsMax, timeouts, userAgent } = options;
  const pools = new Map<string, Pool>();
  const targets = new WeakMap<Deployment, Target>();

  function poolOf(origin: string): Pool {
    let pool = pools.get(origin);
    if (pool === undefined) {
      const { connectMs, quietMs } = timeouts;
      pool = new Pool(origin, {
        connections: connectionsMax,
        pipelining: 1,
        connect: { timeout: connectMs },
        headersTimeout: quietMs,
        bodyTimeout: quietMs,
      });
      pools.set(origin, pool);
    }
    return pool;
  }

  function targetOf(deployment: Deployment): Target {
    let target = targets.get(deployment);
    if (target === undefined) {
      const { origin, pathname } = new URL(deployment.baseUrl);
      const always = ['accept-encoding', 'identity', 'user-agent', userAgent];
      const extra = Object.entries(deployment.extraHeaders).flat();
      const json = ['content-type', 'application/json', ...always];
      const { apiKey } = deployment;
      const bearer = apiKey === null ? [] : ['authorization', `Bearer ${apiKey}`];
      target = {
        pool: poolOf(origin),
        basePath: pathname.replace(/\/$/, ''),
        headers: [...json, ...bearer, ...extra],
        anthropicHeaders: [...json, ...(apiKey === null ? [] : ['x-api-key', apiKey]), ...extra],
        formHeaders: [...always, ...bearer, ...extra],
      };
      targets.set(deployment, target);
    }
    return target;
  }

  return {
    send(deployment, route, body, clientHeaders, receiver) {
      const target = targetOf(deployment);
      const call = new Answering(receiver);
      const isForm = !Buffer.isBuffer(body);
      target.pool.dispatch(
        {
          path: `${target.basePath}/${route.name}`,
          method: 'POST',
          headers: isForm
            ? [...target.formHeaders, 'content-type', body.contentType]
            : headersFor(route, target, clientHeaders),
          body: isForm ? body.bytes : body,
        },
        call,
      );
      return call;
    },
    async close() {
      await Promise.all([...pools.values()].map((pool) => pool.destroy()));
    },
  };
}

function headersFor(route: Route, target: Target, client: IncomingHttpHeaders): string[] {
  if (!route.anthropic) return withClientHeaders(target.headers, client, PASSED_ON);
  const headers = withClientHeaders(target.anthropicHeaders, client, PASSED_ON_TO_ANTHROPIC);
  if (headers.includes('anthropic-version')) return headers;
  return [...headers, 'anthropic-version', ANTHROPIC_VERSION];
}

function withClientHeaders(own: string[], client: IncomingHttpHeaders, names: readonly string[]): string[] {
  const passed: string[] = [];
  for (const name of names) {
    const value = client[name];
    if (typeof value === 'string') passed.push(name, value);
  }
  return passed.length === 0 ? own : [...own, ...passed];
}

/**
 * One call at an upstream: undici's callbacks as a receiver's, which end once the call is aborted.
 *
 * This is undici's older form of a handler. The newer one is wrapped around it, with another object
 * per call and every header of every answer made a member of a third. A class, since the hot path
 * makes one per request, and a closure for each of its callbacks costs more than the call.
 */
class Answering implements UpstreamCall, Dispatcher.DispatchHandler {
  private readonly receiver: Receiver;
  private abortCall: ((error?: Error) => void) | null = null;
  private resumeReading: (() => void) | null = null;
  private over = false;
  private paused = false;

  constructor(receiver: Receiver) {
    this.receiver = receiver;
  }

  onConnect(abort: (error?: Error) => void): void {
    this.abortCall = abort;
    if (this.over) abort(new Error('given up before it was sent'));
  }

  onHeaders(status: number, rawHeaders: Buffer[], resume: () => void): boolean {
    this.resumeReading = resume;
    if (!this.over && status >= 200) this.receiver.onHead(status, headersOfUse(rawHeaders));
    return !this.paused;
  }

  onData(chunk: Buffer): boolean {
    if (!this.over) this.receiver.onData(chunk);
    return !this.paused;
  }

  onComplete(): void {
    if (this.over) return;
    this.over = true;
    this.receiver.onEnd();
  }

  onError(error: Error): void {
    if (this.over) return;
    this.over = true;
    this.receiver.onFailure(failureOf(error), error);
  }

  abort(): void {
    if (this.over) return;
    this.over = true;
    this.abortCall?.(new Error('given up'));
  }

  pause(): void {
    this.paused = true;
  }

  resume(): void {
    if (!this.paused) return;
    this.paused = false;
    this.resumeReading?.();
  }
}

/** First letters of the names that matter to anybody here, in either case. */
const INITIALS: ReadonlySet<number> = new Set(Buffer.from('corxCORX'));
const OF_USE =
  /^(?:content-type|content-encoding|retry-after|x-request-id|openai-processing-ms|x-ratelimit-.+)$/;

/** Of an answer's headers, names and values in turn, those that decide something or are passed on; the first of each name. */
function headersOfUse(raw: readonly Buffer[]): IncomingHttpHeaders {
  const headers: IncomingHttpHeaders = {};
  for (let i = 0; i + 1 < raw.length; i += 2) {
    if (!INITIALS.has(raw[i]![0] ?? 0)) continue;
    const name = raw[i]!.toString('latin1').toLowerCase();
    if (OF_USE.test(name)) headers[name] ??= raw[i + 1]!.toString('latin1');
  }
  return headers;
}

const UNREACHABLE: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'UND_ERR_CONNECT_TIMEOUT',
]);
const TIMED_OUT: ReadonlySet<string> = new Set(['UND_ERR_HEADERS_TIMEOUT', 'UND_ERR_BODY_TIMEOUT']);

function failureOf(error: unknown): UpstreamFailure {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  if (TIMED_OUT.has(code)) return 'timed-out';
  return UNREACHABLE.has(code) ? 'unreachable' : 'broken';
}
