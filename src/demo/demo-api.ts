/** The demo's HTTP client: management calls with the master key, model calls with a virtual key. */
export interface Api {
  get<T>(path: string): Promise<T>;
  post<T>(path: string, body: unknown, idempotencyKey: string): Promise<T>;
  chat(secret: string, body: ChatBody): Promise<void>;
  /** The status and, for a refusal, its message. */
  chatStatus(secret: string, body: ChatBody): Promise<{ readonly status: number; readonly message: string }>;
  embed(secret: string, input: readonly string[]): Promise<void>;
}

export interface ChatBody {
  readonly model: string;
  readonly messages: readonly { readonly role: string; readonly content: string }[];
  readonly stream?: boolean;
  readonly max_tokens?: number;
}

export function demoApi(baseUrl: string, masterKey: string, signal: AbortSignal): Api {
  const call = (
    path: string,
    secret: string,
    init: { method?: string; body?: string; headers?: Record<string, string> } = {},
  ) =>
    fetch(`${baseUrl}${path}`, {
      ...init,
      signal,
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
      await text(await send('/v1/chat/completions', secret, body));
    },
    async chatStatus(secret, body) {
      const response = await send('/v1/chat/completions', secret, body);
      const answer = (await response.json()) as { error?: { message: string } };
      return { status: response.status, message: answer.error?.message ?? '' };
    },
    async embed(secret, input) {
      await text(await send('/v1/embeddings', secret, { model: 'demo-embed', input }));
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
