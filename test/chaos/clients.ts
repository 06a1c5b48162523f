import { Agent, type ClientRequest, type IncomingMessage, request as httpRequest } from 'node:http';
import { type Customer, MODEL } from './customers.ts';
import type { Chance } from './random.ts';

/** The customers' programs: each sends one request after the other, and remembers what it got. */
export interface Observation {
  /** Sent as `user`, which both the upstream and the log know; no two requests share one. */
  readonly marker: string;
  readonly customer: Customer;
  readonly stream: boolean;
  readonly maxTokens: number;
  /**
   * `whole`: a good answer to its end. `refused`: an error with its status. `broken`: it ended in the
   * middle. `left`: this client went away itself. `silent`: nothing came for too long.
   */
  end: 'whole' | 'refused' | 'broken' | 'left' | 'silent';
  /** Null when no head came. */
  status: number | null;
  /** Completion tokens that arrived. */
  tokens: number;
  /** As the answer said; null where it said nothing. */
  usage: { readonly prompt: number; readonly completion: number } | null;
  /** The `id` of the answer. */
  responseId: string | null;
}

export interface Load {
  /** Requests that reached a server, refusals for an unreachable log left out. */
  readonly sent: number;
  readonly observations: readonly Observation[];
  /** Resolves when so many were sent. */
  reached(count: number): Promise<void>;
  /** Resolves when the clients have what they asked for. */
  finish(): Promise<void>;
}

export interface LoadOptions {
  readonly customers: readonly Customer[];
  readonly chance: Chance;
  readonly clients: number;
  /** Clients stop after so many. */
  readonly requests: number;
  /** Null while no server is up. */
  readonly port: () => number | null;
  /** Share of requests that the client breaks off, and that the upstream fails. */
  readonly leaving?: number;
  readonly failing?: number;
}

const SILENT_MS = 30_000;
const PAUSE_MS = 20;
const PARAGRAPH = 'Wir haben Montag bis Freitag von neun bis achtzehn Uhr geöffnet. ';

export function startLoad(options: LoadOptions): Load {
  const { customers, chance, clients, requests, leaving = 0.05, failing = 0.03 } = options;
  const agent = new Agent({ keepAlive: true, maxSockets: clients * 2 });
  const observations: Observation[] = [];
  const waiting: { readonly count: number; readonly done: () => void }[] = [];
  let sent = 0;
  const state = { finishing: false };

  async function client(n: number): Promise<void> {
    for (let i = 0; !state.finishing && sent < requests; i += 1) {
      const port = options.port();
      const observed = port === null ? null : await send(port, `c${n}-${i}`);
      if (observed !== null) observations.push(observed);
      if (observed === null || observed.status === 503) await pause(PAUSE_MS);
      else count();
    }
  }

  function count(): void {
    sent += 1;
    for (let i = waiting.length - 1; i >= 0; i -= 1) {
      if (waiting[i]!.count <= sent) waiting.splice(i, 1)[0]!.done();
    }
  }

  /** Null when nobody listened. */
  function send(port: number, marker: string): Promise<Observation | null> {
    const customer = customers[chance.between(0, customers.length - 1)]!;
    const stream = chance.next() < 0.6;
    const maxTokens = chance.between(4, 160);
    const simulate = chance.next() < failing ? faultOf(chance) : undefined;
    const body = JSON.stringify({
      model: MODEL,
      messages: [
        // Long ones are served from the provider's cache in part.
        { role: 'system', content: PARAGRAPH.repeat(chance.next() < 0.1 ? 120 : chance.between(1, 8)) },
        { role: 'user', content: `Frage ${marker}` },
      ],
      max_tokens: maxTokens,
      user: marker,
      ...(stream
        ? { stream, ...(chance.next() < 0.5 ? { stream_options: { include_usage: true } } : {}) }
        : {}),
      ...(simulate === undefined ? {} : { metadata: { simulate } }),
    });
    const leaveAfterMs = chance.next() < leaving ? chance.between(0, 60) : null;
    const observed: Observation = {
      marker,
      customer,
      stream,
      maxTokens,
      end: 'broken',
      status: null,
      tokens: 0,
      usage: null,
      responseId: null,
    };
    return new Promise((resolve) => {
      const call = httpRequest({
        agent,
        port,
        host: '127.0.0.1',
        path: '/v1/chat/completions',
        method: 'POST',
        headers: {
          authorization: `Bearer ${customer.secret}`,
          'content-type': 'application/json',
          'content-length': Buffer.byteLength(body),
        },
      });
      watch(call, observed, leaveAfterMs, resolve);
      call.end(body);
    });
  }

  const running = Promise.all(Array.from({ length: clients }, (_, n) => client(n)));
  return {
    get sent() {
      return sent;
    },
    observations,
    reached: (wanted) =>
      sent >= wanted
        ? Promise.resolve()
        : Promise.race([
            new Promise<void>((done) => waiting.push({ count: wanted, done })),
            running.then(() => undefined),
          ]),
    async finish() {
      state.finishing = true;
      await running;
      agent.destroy();
    },
  };
}

function faultOf(chance: Chance): string {
  return chance.pick([
    ['status:500', 1],
    ['truncate', 1],
    ['reset', 1],
  ]);
}

/** Calls `done` once, with what came of it; null when no connection was made. */
function watch(
  call: ClientRequest,
  observed: Observation,
  leaveAfterMs: number | null,
  done: (observed: Observation | null) => void,
): void {
  let over = false;
  let text = '';
  const end = (as: Observation['end'] | 'unsent'): void => {
    if (over) return;
    over = true;
    clearTimeout(silence);
    clearTimeout(leaving);
    observed.end = as === 'unsent' ? 'broken' : as;
    if (observed.status !== null) read(observed, text);
    done(as === 'unsent' ? null : observed);
  };
  const breakOff = (as: 'left' | 'silent'): void => {
    end(as);
    call.destroy();
  };
  const silence = setTimeout(() => breakOff('silent'), SILENT_MS);
  const leaving = leaveAfterMs === null ? undefined : setTimeout(() => breakOff('left'), leaveAfterMs);
  call.on('error', (error: NodeJS.ErrnoException) =>
    end(error.code === 'ECONNREFUSED' ? 'unsent' : 'broken'),
  );
  call.on('response', (response: IncomingMessage) => {
    observed.status = response.statusCode ?? 0;
    response.setEncoding('utf8');
    response.on('data', (chunk: string) => (text += chunk));
    response.on('error', () => end('broken'));
    response.on('close', () => end('broken'));
    response.on('end', () => {
      if (!response.complete) end('broken');
      else if (observed.status !== 200) end('refused');
      else end(observed.stream && !text.endsWith('data: [DONE]\n\n') ? 'broken' : 'whole');
    });
  });
}

interface Piece {
  readonly id?: string;
  readonly error?: unknown;
  readonly usage?: { readonly prompt_tokens: number; readonly completion_tokens: number } | null;
  readonly choices?: readonly {
    readonly delta?: { content?: string };
    readonly message?: { content?: string };
  }[];
}

/** Every word of the simulated upstream is one token. */
function read(observed: Observation, text: string): void {
  let content = '';
  for (const piece of observed.stream && observed.status === 200 ? eventsOf(text) : jsonOf(text)) {
    observed.responseId ??= piece.id ?? null;
    if (piece.usage != null) {
      const { prompt_tokens: prompt, completion_tokens: completion } = piece.usage;
      observed.usage = { prompt, completion };
    }
    for (const { delta, message } of piece.choices ?? []) content += delta?.content ?? message?.content ?? '';
    if (piece.error !== undefined && observed.end === 'whole') observed.end = 'broken';
  }
  observed.tokens = content === '' ? 0 : content.split(' ').length;
}

/** Those that arrived whole. */
function eventsOf(text: string): readonly Piece[] {
  return text
    .split('\n\n')
    .slice(0, -1)
    .filter((event) => event.startsWith('data: {'))
    .map((event) => JSON.parse(event.slice('data: '.length)) as Piece);
}

function jsonOf(text: string): readonly Piece[] {
  try {
    return [JSON.parse(text) as Piece];
  } catch {
    return [];
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
