import type { IncomingHttpHeaders } from 'node:http';
import { type Dispatcher, Pool } from 'undici';
import type { Deployment } from '../domain/deployment.ts';

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
    path: string,
    body: Buffer,
    clientHeaders: IncomingHttpHeaders,
    receiver: Receiver,
  ): UpstreamCall;
  close(): Promise<void>;
}

/** Of the client's headers, these go on. */
const PASSED_ON = ['openai-beta', 'accept-language'] as const;

interface Target {
  readonly pool: Pool;
  readonly basePath: string;
  readonly headers: string[];
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
      const headers = [
        'content-type',
        'application/json',
        'accept-encoding',
        'identity',
        'user-agent',
        userAgent,
      ];
      if (deployment.apiKey !== null) headers.push('authorization', `Bearer ${deployment.apiKey}`);
      for (const [name, value] of Object.entries(deployment.extraHeaders)) headers.push(name, value);
      target = { pool: poolOf(origin), basePath: pathname.replace(/\/$/, ''), headers };
      targets.set(deployment, target);
    }
    return target;
  }

  return {
    send(deployment, path, body, clientHeaders, receiver) {
      const { pool, basePath, headers } = targetOf(deployment);
      const call = receiving(receiver);
      pool.dispatch(
        {
          path: `${basePath}/${path}`,
          method: 'POST',
          headers: withClientHeaders(headers, clientHeaders),
          body,
        },
        call.handler,
      );
      return call;
    },
    async close() {
      await Promise.all([...pools.values()].map((pool) => pool.destroy()));
    },
  };
}

function withClientHeaders(own: string[], client: IncomingHttpHeaders): string[] {
  const passed: string[] = [];
  for (const name of PASSED_ON) {
    const value = client[name];
    if (typeof value === 'string') passed.push(name, value);
  }
  return passed.length === 0 ? own : [...own, ...passed];
}

/** Turns undici's callbacks into a receiver's, and ends them once the call is aborted. */
function receiving(receiver: Receiver): UpstreamCall & { readonly handler: Dispatcher.DispatchHandler } {
  let controller: Dispatcher.DispatchController | null = null;
  let over = false;
  const handler: Dispatcher.DispatchHandler = {
    onRequestStart(started) {
      controller = started;
      if (over) started.abort(new Error('given up before it was sent'));
    },
    onResponseStart(_, status, headers) {
      if (!over && status >= 200) receiver.onHead(status, headers);
    },
    onResponseData(_, chunk) {
      if (!over) receiver.onData(chunk);
    },
    onResponseEnd() {
      if (over) return;
      over = true;
      receiver.onEnd();
    },
    onResponseError(_, error) {
      if (over) return;
      over = true;
      receiver.onFailure(failureOf(error), error);
    },
  };
  return {
    handler,
    abort() {
      if (over) return;
      over = true;
      controller?.abort(new Error('given up'));
    },
    pause: () => controller?.pause(),
    resume: () => controller?.resume(),
  };
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
