/**
 * An OpenAI-compatible upstream in one process, for the demo, the tests and the benchmark: chat completions
 * (JSON and SSE), embeddings and models, with and without `/v1`, on 127.0.0.1 only. The same request gets the
 * same answer and usage (simulated-answers.ts), it can misbehave on request (simulated-faults.ts), and it keeps
 * its own count of what it served, so that a gateway's books can be compared with somebody else's:
 * `GET /_simulated/stats`, and call by call `GET /_simulated/calls`.
 *
 * A fault is asked for, in this order, by the header `x-simulate`, by `metadata: {"simulate": "…"}` in the body,
 * or by the `faults` setting. It has to be cheap, for it shares the machine with what is measured: answers to
 * repeated requests are kept ready, and head and body leave in one write.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import {
  type Answer,
  CREATED,
  type ModelKind,
  prepareChat,
  prepareEmbeddings,
  type Rejection,
  rejection,
} from './simulated-answers.ts';
import { deliver, type Exchange, type Ready, readyAnswer, send } from './simulated-delivery.ts';
import { type Fault, type FaultPicker, faultPicker, NO_FAULT } from './simulated-faults.ts';
import { type Ledger, openLedger, type SimulatedStats } from './simulated-stats.ts';

export interface SimulatedUpstreamSettings {
  /** 0 or nothing: a free one. */
  readonly port?: number;
  /** The key that callers must send; null or nothing: any, or none. */
  readonly apiKey?: string | null;
  /** Time before the first byte. */
  readonly latencyMs?: number;
  /** Time between two events of a stream. */
  readonly chunkDelayMs?: number;
  /** Events with content per stream and choice; answers with fewer tokens have fewer. */
  readonly chunkCount?: number;
  /** Fault rules as in simulated-faults.ts, for requests that name none themselves. */
  readonly faults?: string;
  readonly models?: ReadonlyMap<string, ModelKind>;
  /** How many single calls the books keep, the first ones; none when left out. */
  readonly callsMax?: number;
}

export interface SimulatedUpstream {
  /** Without `/v1`. */
  readonly url: string;
  readonly port: number;
  readonly stats: () => SimulatedStats;
  /** Breaks off what is under way. */
  readonly stop: () => Promise<void>;
}

const DEMO_MODELS: ReadonlyMap<string, ModelKind> = new Map([
  ['demo-small', 'chat'],
  ['demo-large', 'chat'],
  ['demo-embed', 'embedding'],
]);

const DEFAULTS: Required<SimulatedUpstreamSettings> = {
  port: 0,
  apiKey: null,
  latencyMs: 0,
  chunkDelayMs: 0,
  chunkCount: 32,
  faults: '',
  models: DEMO_MODELS,
  callsMax: 0,
};
const BODY_BYTES_MAX = 64 * 1024 * 1024;
/** Answers kept ready, and the largest request for which one is kept. */
const READY_MAX = 512;
const READY_REQUEST_UNITS_MAX = 65_536;
const REDIRECTED = '/_simulated/redirected';

export async function startSimulatedUpstream(
  settings: SimulatedUpstreamSettings = {},
): Promise<SimulatedUpstream> {
  const state: State = {
    settings: { ...DEFAULTS, ...settings },
    ledger: openLedger(settings.callsMax),
    pickConfigured: faultPicker(settings.faults ?? ''),
    pickersByHeader: new Map(),
    readyByRequest: new Map(),
  };
  const server = createServer({ keepAliveTimeout: 60_000, requestTimeout: 0 }, (request, response) => {
    handle(state, request, response);
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(state.settings.port, '127.0.0.1', resolve);
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the simulated upstream has no port');
  const stop = (): Promise<void> =>
    new Promise((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  return { url: `http://127.0.0.1:${address.port}`, port: address.port, stats: state.ledger.stats, stop };
}

interface State {
  readonly settings: Required<SimulatedUpstreamSettings>;
  readonly ledger: Ledger;
  readonly pickConfigured: FaultPicker;
  /** Rules seen in headers, so that `@first:2` counts from one request to the next. */
  readonly pickersByHeader: Map<string, FaultPicker>;
  readonly readyByRequest: Map<string, Ready>;
}

function handle(state: State, request: IncomingMessage, response: ServerResponse): void {
  const { apiKey } = state.settings;
  const path = pathOf(request.url ?? '/');
  if (path === '/_simulated/stats') {
    return send(response, 200, 'application/json', JSON.stringify(state.ledger.stats()));
  }
  if (path === '/_simulated/calls') {
    return send(response, 200, 'application/json', JSON.stringify(state.ledger.calls()));
  }
  if (path === REDIRECTED) {
    state.ledger.redirectFollowed();
    return refuse(state, response, rejection(404, 'Nothing should have followed that redirect.'));
  }
  if (apiKey !== null && request.headers.authorization !== `Bearer ${apiKey}`) {
    return refuse(state, response, rejection(401, 'Incorrect API key provided.', 'invalid_api_key'));
  }
  if (request.method === 'GET' && path.startsWith('/models')) return sendModels(state, response, path);
  if (request.method === 'POST' && (path === '/chat/completions' || path === '/embeddings')) {
    return readBody(state, request, response, (body) => serve(state, request, response, path, body));
  }
  refuse(state, response, rejection(404, `Unknown request URL: ${request.method} ${path}.`, 'unknown_url'));
}

function serve(
  state: State,
  request: IncomingMessage,
  response: ServerResponse,
  path: string,
  body: string,
): void {
  const ready = readyFor(state, path, body);
  if ('error' in ready) return refuse(state, response, ready);
  const fault = pickFault(state, request, ready);
  if ('error' in fault) return refuse(state, response, fault);
  const { latencyMs, chunkDelayMs } = state.settings;
  const exchange: Exchange = {
    response,
    ready,
    chunkDelayMs,
    elsewhere: `http://localhost:${request.socket.localPort}${REDIRECTED}`,
    spoiled: false,
    promptTokens: ready.answer.promptTokens,
    completionTokens: 0,
  };
  state.ledger.begin(exchange, request.headers.authorization, fault.kind);
  if (latencyMs === 0) return deliver(exchange, fault);
  setTimeout(() => {
    if (!response.destroyed) deliver(exchange, fault);
  }, latencyMs);
}

function readyFor(state: State, path: string, body: string): Ready | Rejection {
  const { readyByRequest } = state;
  const name = `${path} ${body}`;
  const kept = readyByRequest.get(name);
  if (kept !== undefined) return kept;
  const answer = prepare(state, path, body);
  if ('error' in answer) return answer;
  const picker = answer.simulate === null ? null : pickerFor(answer.simulate);
  if (picker !== null && 'error' in picker) return picker;
  const ready = readyAnswer(answer, picker);
  if (name.length > READY_REQUEST_UNITS_MAX) return ready;
  const oldest = readyByRequest.size < READY_MAX ? undefined : readyByRequest.keys().next().value;
  if (oldest !== undefined) readyByRequest.delete(oldest);
  readyByRequest.set(name, ready);
  return ready;
}

function prepare({ settings }: State, path: string, body: string): Answer | Rejection {
  try {
    if (path === '/embeddings') return prepareEmbeddings(body, settings.models);
    return prepareChat(body, settings.models, settings.chunkCount);
  } catch (error) {
    if (error instanceof RangeError) return rejection(400, 'The request is nested too deeply.');
    throw error;
  }
}

function pickFault(state: State, request: IncomingMessage, ready: Ready): Fault | Rejection {
  const header = request.headers['x-simulate'];
  if (typeof header !== 'string') return (ready.pick ?? state.pickConfigured)() ?? NO_FAULT;
  const picker = state.pickersByHeader.get(header) ?? pickerFor(header);
  if ('error' in picker) return picker;
  if (state.pickersByHeader.size < READY_MAX) state.pickersByHeader.set(header, picker);
  return picker() ?? NO_FAULT;
}

function sendModels(state: State, response: ServerResponse, path: string): void {
  const models = [...state.settings.models.keys()].map((id) => {
    return { id, object: 'model', created: CREATED, owned_by: 'simulated' };
  });
  if (path === '/models') {
    return send(response, 200, 'application/json', JSON.stringify({ object: 'list', data: models }));
  }
  const model = models.find(({ id }) => path === `/models/${id}`);
  if (model !== undefined) return send(response, 200, 'application/json', JSON.stringify(model));
  refuse(state, response, rejection(404, 'There is no such model.', 'model_not_found'));
}

function refuse(state: State, response: ServerResponse, { status, error }: Rejection): void {
  state.ledger.refused();
  send(response, status, 'application/json', error);
}

function pickerFor(rule: string): FaultPicker | Rejection {
  try {
    return faultPicker(rule);
  } catch (error) {
    return rejection(400, error instanceof Error ? error.message : 'unknown fault rule');
  }
}

function readBody(
  state: State,
  request: IncomingMessage,
  response: ServerResponse,
  then: (body: string) => void,
): void {
  const parts: Buffer[] = [];
  let bytes = 0;
  request.on('data', (part: Buffer) => {
    bytes += part.length;
    if (bytes <= BODY_BYTES_MAX) parts.push(part);
  });
  request.on('end', () => {
    if (bytes > BODY_BYTES_MAX) return refuse(state, response, rejection(413, 'The request is too large.'));
    then((parts.length === 1 && parts[0] !== undefined ? parts[0] : Buffer.concat(parts)).toString('utf8'));
  });
}

/** The path without `/v1` and without the query. */
function pathOf(url: string): string {
  const query = url.indexOf('?');
  const path = query === -1 ? url : url.slice(0, query);
  return path.startsWith('/v1/') ? path.slice(3) : path;
}
