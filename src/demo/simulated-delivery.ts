/**
 * How the simulated upstream sends an answer, well or badly. Answers are put into the form in which they are sent
 * once (`readyAnswer`) and sent often, which is what makes it cheap.
 */
import type { ServerResponse } from 'node:http';
import { type Answer, event, rejection, usageJson, withUsage } from './simulated-answers.ts';
import type { Fault, FaultPicker, UsageVariant } from './simulated-faults.ts';

/** An answer in the forms in which it is sent; made once, sent often. */
export interface Ready {
  readonly answer: Answer;
  readonly json: string;
  readonly jsonBytes: number;
  /** A whole stream, usage and [DONE] included. */
  readonly events: readonly string[];
  /** The same as it is on the wire in chunked transfer coding. */
  readonly wire: string;
  /** From the rule that the request carries. */
  readonly pick: FaultPicker | null;
}

/** One request under way. */
export interface Exchange {
  readonly response: ServerResponse;
  readonly ready: Ready;
  readonly chunkDelayMs: number;
  /** Where `redirect` points to. */
  readonly elsewhere: string;
  /** Whether it is the fault that ends this exchange, and not the answer or the client. */
  spoiled: boolean;
  /** Produced so far, whether or not they arrived. */
  promptTokens: number;
  completionTokens: number;
}

const BIG_LINE_BYTES = 10_485_760;
const LAST_CHUNK = '0\r\n\r\n';

/** Faults that replace the answer by something else, or by nothing. */
type AnswerlessFault = Extract<
  Fault,
  { kind: 'status' | 'reset' | 'redirect' | 'html' | 'error-200' | 'empty-stream' }
>;

export function readyAnswer(answer: Answer, pick: FaultPicker | null, usages = [answer.usage]): Ready {
  const json = withUsage(answer.head, usages);
  const events = answer.stream ? [...answer.events, ...usageEvents(answer, usages), 'data: [DONE]\n\n'] : [];
  const wire = events.map(frame).join('') + LAST_CHUNK;
  return { answer, json, jsonBytes: Buffer.byteLength(json), events, wire, pick };
}

export function deliver(exchange: Exchange, fault: Fault): void {
  const { response, ready } = exchange;
  const { answer } = ready;
  exchange.promptTokens = answer.promptTokens;
  switch (fault.kind) {
    case 'none':
      return sendWhole(exchange, ready);
    case 'hang':
      return;
    case 'slow-headers':
      setTimeout(() => sendWhole(exchange, ready), fault.delayMs);
      return;
    case 'no-usage':
      return sendWhole(exchange, readyAnswer(answer, null, []));
    case 'usage-null':
      return sendWhole(exchange, readyAnswer(answer, null, ['null']));
    case 'usage-twice':
      return sendWhole(exchange, readyAnswer(answer, null, [answer.usage, answer.usage]));
    case 'usage-huge':
      return sendWhole(exchange, readyAnswer(answer, null, [wrongUsage(answer, fault.variant)]));
    case 'big-line':
      return sendWhole(exchange, withBigLine(ready));
    case 'hang-mid':
      return sendHalf(exchange, () => {});
    case 'truncate':
      exchange.spoiled = true;
      return sendHalf(exchange, () => response.socket?.destroySoon());
    case 'cut-json':
      exchange.spoiled = true;
      return sendCut(exchange);
    case 'status':
    case 'reset':
    case 'redirect':
    case 'html':
    case 'error-200':
    case 'empty-stream':
      exchange.spoiled = true;
      exchange.promptTokens = 0;
      return sendOther(exchange, fault);
  }
}

/** A whole response of its own, or none. */
function sendOther({ response, ready, elsewhere }: Exchange, fault: AnswerlessFault): void {
  const failed = rejection(500, 'The server had an error while processing your request.').error;
  const { stream } = ready.answer;
  switch (fault.kind) {
    case 'reset':
      response.socket?.resetAndDestroy();
      return;
    case 'status': {
      const { error } = rejection(fault.status, `Simulated failure with status ${fault.status}.`);
      const headers = fault.retryAfter === null ? {} : { 'retry-after': fault.retryAfter };
      return send(response, fault.status, 'application/json', error, headers);
    }
    case 'redirect':
      return send(response, 307, 'text/plain', '', { location: elsewhere });
    case 'html':
      return send(response, 200, 'text/html', '<!doctype html><title>Welcome</title><p>It works!</p>');
    case 'error-200':
      return send(response, 200, typeOf(stream), stream ? event(failed) : failed);
    case 'empty-stream':
      return send(response, 200, typeOf(stream), '');
  }
}

export function send(
  response: ServerResponse,
  status: number,
  type: string,
  body: string,
  headers: Readonly<Record<string, string>> = {},
): void {
  response.writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(body), ...headers });
  response.end(body);
}

function sendWhole(exchange: Exchange, { answer, json, jsonBytes, events, wire }: Ready): void {
  const { response } = exchange;
  if (response.destroyed) return;
  if (!answer.stream) {
    exchange.completionTokens = answer.completionTokens;
    response.writeHead(200, { 'content-type': typeOf(false), 'content-length': jsonBytes });
    response.end(json);
  } else if (exchange.chunkDelayMs === 0) {
    exchange.completionTokens = answer.completionTokens;
    startStream(response);
    response.end(wire);
  } else {
    startStream(response);
    sendEvents(exchange, events, () => response.end(LAST_CHUNK));
  }
}

function sendHalf(exchange: Exchange, then: () => void): void {
  const { response, ready } = exchange;
  if (ready.answer.stream) {
    startStream(response);
    return sendEvents(exchange, ready.events.slice(0, Math.ceil(ready.events.length / 2)), then);
  }
  exchange.completionTokens = ready.answer.completionTokens;
  response.writeHead(200, { 'content-type': typeOf(false), 'content-length': ready.jsonBytes });
  response.write(ready.json.slice(0, ready.jsonBytes / 2), then);
}

function sendCut(exchange: Exchange): void {
  const { response, ready } = exchange;
  if (!ready.answer.stream)
    return send(response, 200, typeOf(false), ready.json.slice(0, ready.jsonBytes / 2));
  const half = Math.ceil(ready.events.length / 2);
  const cut = ready.events[half - 1]?.slice(0, 40) ?? '';
  startStream(response);
  sendEvents(exchange, ready.events.slice(0, half - 1), () => response.end(frame(cut) + LAST_CHUNK));
}

/** Sends events one by one at the set pace, or all at once without one, counting tokens as they leave. */
function sendEvents(exchange: Exchange, events: readonly string[], then: () => void): void {
  const { response, ready, chunkDelayMs } = exchange;
  if (chunkDelayMs === 0) {
    exchange.completionTokens = tokensIn(ready, events.length);
    response.write(events.map(frame).join(''), then);
    return;
  }
  let sent = 0;
  const next = (): void => {
    const text = events[sent];
    if (response.destroyed) return;
    if (text === undefined) return then();
    sent += 1;
    exchange.completionTokens = tokensIn(ready, sent);
    response.write(frame(text));
    setTimeout(next, chunkDelayMs);
  };
  next();
}

/** How many tokens the first events of a stream carry. The last event of each choice only says why it ended. */
function tokensIn({ answer }: Ready, sent: number): number {
  const withContent = answer.events.length - answer.choices;
  return Math.floor((answer.completionTokens * Math.min(sent, withContent)) / withContent);
}

/**
 * Answers are framed once, not each time they are sent: node is told that the body is chunked and writes the
 * head that says so, but leaves the chunks to us. A stream without pauses is then a single write.
 */
function startStream(response: ServerResponse): void {
  const headers = {
    'content-type': typeOf(true),
    'cache-control': 'no-cache',
    'transfer-encoding': 'chunked',
  };
  response.writeHead(200, headers);
  response.chunkedEncoding = false;
}

function frame(text: string): string {
  return `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`;
}

function typeOf(stream: boolean): string {
  return stream ? 'text/event-stream; charset=utf-8' : 'application/json';
}

function usageEvents({ usageEventHead }: Answer, usages: readonly string[]): string[] {
  return usageEventHead === null ? [] : usages.map((usage) => event(withUsage(usageEventHead, [usage])));
}

function withBigLine(ready: Ready): Ready {
  const padding = `"padding":"${'x'.repeat(BIG_LINE_BYTES)}"`;
  const json = `{${padding},${ready.json.slice(1)}`;
  const events = [event(`{"object":"chat.completion.chunk","choices":[],${padding}}`), ...ready.events];
  return {
    ...ready,
    json,
    jsonBytes: Buffer.byteLength(json),
    events,
    wire: events.map(frame).join('') + LAST_CHUNK,
  };
}

function wrongUsage({ promptTokens, completionTokens, usage }: Answer, variant: UsageVariant): string {
  if (variant === 'over') return usageJson(promptTokens, completionTokens * 2, 0);
  const wrong = { huge: '1e308', nan: 'NaN', negative: '-1000' }[variant];
  return usage.replaceAll(/("(?:prompt|completion|total)_tokens"):\d+/g, `$1:${wrong}`);
}
