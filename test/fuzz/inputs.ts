/**
 * Requests that nobody would send: generated ones that are nearly right, and bytes that are no HTTP.
 * The same seed gives the same sequence.
 */
export interface Fuzzer {
  next(): Input;
}

/** What one connection is sent. */
export interface Input {
  readonly bytes: Buffer;
  /** It is well-formed as HTTP, so it has to be answered. */
  readonly whole: boolean;
}

const ROUTES = [
  'chat/completions',
  'completions',
  'embeddings',
  'responses',
  'messages',
  'moderations',
  'images/generations',
  'audio/speech',
  'audio/transcriptions',
  'audio/translations',
  'rerank',
];
const OTHERS = [
  '/key/generate',
  '/key/info',
  '/key/update',
  '/key/delete',
  '/team/new',
  '/user/new',
  '/spend/logs',
  '/v1/models',
  '/health',
  '/nothing',
  '/%',
  '//',
  '/engines/%00/embeddings',
];
const NAMES = [
  'model',
  'messages',
  'input',
  'prompt',
  'stream',
  'stream_options',
  'n',
  'max_tokens',
  'max_output_tokens',
  'tools',
  'metadata',
  'user',
  'query',
  'documents',
  'role',
  'content',
  'type',
  'text',
  'best_of',
  '__proto__',
  'constructor',
  'api_base',
  'Model',
];
const VALUES: readonly (() => unknown)[] = [
  () => null,
  () => true,
  () => -1,
  () => 0,
  () => 1e308,
  () => 2 ** 53,
  () => 0.1,
  () => '',
  () => 'demo-small',
  () => 'demo-embed',
  () => 'x\u0000y',
  () => '\ud800',
  () => '🌲'.repeat(300),
  () => ' '.repeat(20_000),
  () => 'a'.repeat(5_000),
  () => [{ role: 'user', content: 'Hello you' }],
  () => [{ role: 'user', content: [{ type: 'image_url', image_url: {} }, { type: 'input_audio' }, null] }],
  () => [1, 2, 3],
  () => ({ include_usage: true }),
];
const WRONG_JSON = [
  '',
  '{',
  '[]',
  '{"a":1}{',
  '\ufeff{}',
  '{"model":"a","model":"b"}',
  'null',
  '1e999',
  '{"a":"\\ud800"}',
];
const HEADERS = [
  'content-type: application/json',
  'content-type: text/plain',
  'content-type: multipart/form-data; boundary=XX',
  'content-type: multipart/form-data',
  'transfer-encoding: chunked',
  'transfer-encoding: xchunked',
  'content-length: 5',
  'content-length: -1',
  'content-length: 99999999999999999999',
  'expect: 100-continue',
  'connection: upgrade',
  'upgrade: websocket',
  'authorization: Basic eDp5',
  'authorization: Bearer',
  'x-litellm-tags: a,b,,\x7f',
  'x-litellm-call-id: \x01',
  'cookie: a=b',
  'content-encoding: gzip',
];
const DEPTHS = [10, 130, 10_000];

export function createFuzzer(seed: number, secret: string): Fuzzer {
  let state = (seed >>> 0) ^ 0x9e3779b9 || 1;

  function below(limit: number): number {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % limit;
  }

  function of<T>(list: readonly T[]): T {
    return list[below(list.length)]!;
  }

  function value(depth: number): unknown {
    if (depth > 3 || below(3) > 0) return of(VALUES)();
    if (below(2) === 0) return Array.from({ length: below(4) }, () => value(depth + 1));
    return object(depth + 1);
  }

  function object(depth: number): object {
    const made: [string, unknown][] = [];
    for (let i = below(6); i >= 0; i -= 1) made.push([of(NAMES), value(depth)]);
    return Object.fromEntries(made);
  }

  function json(): string {
    const kind = below(10);
    if (kind === 0) return of(WRONG_JSON);
    if (kind === 1) {
      const depth = of(DEPTHS);
      return `{"model":"demo-small","messages":${'['.repeat(depth)}${']'.repeat(depth)}}`;
    }
    const right = {
      model: 'demo-small',
      messages: [{ role: 'user', content: 'Hello you' }],
      input: 'a text',
      prompt: 'a text',
      query: 'x',
      documents: ['y'],
      max_tokens: 4,
    };
    if (kind < 4) return JSON.stringify({ ...right, prompt: undefined, stream: below(2) === 0 });
    if (kind < 6) return JSON.stringify({ ...right, [of(NAMES)]: value(0) });
    return JSON.stringify(kind < 8 ? { ...right, ...object(0) } : object(0));
  }

  function form(): string {
    const parts = Array.from({ length: below(4) }, () => {
      const name = of(['model', 'file', 'stream', 'prompt', '']);
      const file = below(2) === 0 ? '; filename="a"' : '';
      return `--XX\r\nContent-Disposition: form-data; name="${name}"${file}\r\n\r\n${of(['demo-small', '', '--XX', '\r\n--X'])}\r\n`;
    });
    return parts.join('') + of(['--XX--\r\n', '--XX--', '', '--XX']);
  }

  function path(): string {
    if (below(4) === 0) return of(OTHERS);
    const name = below(3) === 0 ? ROUTES[0]! : of(ROUTES);
    return of([
      `/v1/${name}`,
      `/${name}`,
      `/engines/demo-small/${name}`,
      `/openai/deployments/a%2Fb/${name}?x=1`,
    ]);
  }

  function request(): Input {
    const isForm = below(6) === 0;
    const body = Buffer.from(isForm ? form() : json());
    const type = isForm ? 'multipart/form-data; boundary=XX' : 'application/json';
    const headers = ['host: x', `authorization: Bearer ${secret}`, `content-type: ${type}`];
    headers.push(`content-length: ${body.length}`, 'connection: close');
    // One in four has a header too many, too few, or another.
    const asItShouldBe = below(3) > 0;
    if (!asItShouldBe) headers[below(headers.length)] = of(HEADERS);
    if (!asItShouldBe && below(2) === 0) headers.push(of(HEADERS));
    const method =
      below(10) === 0 ? of(['GET', 'PUT', 'DELETE', 'OPTIONS', 'HEAD', 'PATCH', 'BREW']) : 'POST';
    const version =
      !asItShouldBe && below(8) === 0 ? of(['HTTP/1.0', 'HTTP/2.0', 'HTP/1.1', '']) : 'HTTP/1.1';
    const head = Buffer.from(`${method} ${path()} ${version}\r\n${headers.join('\r\n')}\r\n\r\n`, 'latin1');
    return { bytes: Buffer.concat([head, body]), whole: asItShouldBe && method !== 'BREW' };
  }

  /** Changes, cuts, doubles or swaps some bytes. */
  function damaged(bytes: Buffer): Buffer {
    const copy = Buffer.from(bytes);
    for (let i = below(4); i >= 0; i -= 1) copy[below(copy.length)] = below(256);
    if (below(3) === 0) return copy.subarray(0, below(copy.length + 1));
    return below(4) === 0 ? Buffer.concat([copy, copy]) : copy;
  }

  return {
    next() {
      const kind = below(20);
      if (kind === 0) {
        return { bytes: Buffer.from(Array.from({ length: 1 + below(400) }, () => below(256))), whole: false };
      }
      return kind < 5 ? { bytes: damaged(request().bytes), whole: false } : request();
    },
  };
}
