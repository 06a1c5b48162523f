/** The demo's HTTP client: management calls with the master key, model calls with a virtual key. */
export interface Api {
  get<T>(path: string): Promise<T>;
  post<T>(path: string, body: unknown, idempotencyKey: string): Promise<T>;
  chat(secret: string, body: ChatBody): Promise<{ readonly tokens: number }>;
  /** The status and, for a refusal, its message. */
  chatStatus(secret: string, body: ChatBody): Promise<{ readonly status: number; readonly message: string }>;
  embed(secret: string, input: readonly string[]): Promise<number>;
}

export interface ChatBody {
  readonly model: string;
  readonly messages: readonly { readonly role: string; readonly content: string }[];
  readonly stream?: boolean;
  readonly max_tokens?: number;
}

interface Usage {
  readonly total_tokens: number;
}

export function demoApi(baseUrl: string, masterKey: string): Api {
  const call = (
    path: string,
    secret: string,
    init: { method?: string; body?: string; headers?: Record<string, string> } = {},
  ) =>
    fetch(`${baseUrl}${path}`, {
      ...init,
      headers: { authorization: `Bearer ${secret}`, 'content-type': 'application/json', ...init.headers },
    });
  const send = (path: string, secret: string, body: unknown) =>
    call(path, secret, { method: 'POST', body: JSON.stringify(body) });
  return {
    get: async (path) => json(await call(path, masterKey)),
    post: async (path, body, idempotencyKey) =>
      json(
        await call(path, masterKey, {
          method: 'POST',
          body: JSON.stringify(body),
          headers: { 'idempotency-key': idempotencyKey },
        }),
      ),
    async chat(secret, body) {
      const streamed = body.stream === true;
      const options = streamed ? { stream_options: { include_usage: true } } : {};
      const response = await send('/v1/chat/completions', secret, { ...body, ...options });
      if (!streamed) return { tokens: (await json<{ usage: Usage }>(response)).usage.total_tokens };
      return { tokens: usageOfStream(await text(response)).total_tokens };
    },
    async chatStatus(secret, body) {
      const response = await send('/v1/chat/completions', secret, body);
      const answer = (await response.json()) as { error?: { message: string } };
      return { status: response.status, message: answer.error?.message ?? '' };
    },
    async embed(secret, input) {
      const response = await send('/v1/embeddings', secret, { model: 'demo-embed', input });
      return (await json<{ usage: Usage }>(response)).usage.total_tokens;
    },
  };
}

async function json<T>(response: Response): Promise<T> {
  return JSON.parse(await text(response)) as T;
}

async function text(response: Response): Promise<string> {
  const body = await response.text();
  if (!response.ok) throw new Error(`${response.url} answered ${response.status}: ${body.slice(0, 500)}`);
  return body;
}

function usageOfStream(body: string): Usage {
  const chunks = body.split('\n').filter((line) => line.startsWith('data: {'));
  for (const line of chunks.toReversed()) {
    const { usage } = JSON.parse(line.slice('data: '.length)) as { usage?: Usage | null };
    if (usage != null) return usage;
  }
  throw new Error('the stream ended without usage');
}
