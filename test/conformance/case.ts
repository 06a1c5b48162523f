/**
 * What a client written for LiteLLM relies on, as black-box cases: they know a base URL and a master
 * key and nothing else, so that the same cases run against any server (run.ts) and against one in this
 * process (conformance.test.ts). They make what they need under fresh names and clean nothing up.
 */
import { strict as assert } from 'node:assert';
import { createHash, randomBytes } from 'node:crypto';

export interface Case {
  /** The number in the list of cases, such as `53b`. */
  readonly id: string;
  readonly title: string;
  readonly run: (target: Target) => Promise<void>;
  /** True when the case waits for a window to end. */
  readonly slow?: boolean;
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  /** Whatever came. */
  // oxlint-disable-next-line typescript/no-explicit-any -- each case looks into the shape of its own route
  readonly body: any;
}

export interface Target {
  /** As the administrator, or with the bearer that is given; null sends none. */
  get(path: string, bearer?: string | null): Promise<Answer>;
  post(path: string, body: unknown, bearer?: string | null): Promise<Answer>;
  send(method: string, path: string, body: unknown, bearer?: string | null): Promise<Answer>;
  /** The record of a new key with its secret. */
  key(fields?: object, bearer?: string): Promise<Answer['body']>;
  info(key: string): Promise<Answer['body']>;
  chat(bearer: string, fields?: object): Promise<Answer>;
  /** Lets time pass for the server, and for Date here. */
  pause(ms: number): Promise<void>;
  /** A name that nothing has. */
  fresh(prefix: string): string;
  /** Two models that the server serves. */
  readonly model: string;
  readonly otherModel: string;
}

export interface TargetOptions {
  readonly url: string;
  readonly masterKey: string;
  /** Waits, unless the clock can be moved. */
  readonly pause?: (ms: number) => Promise<void>;
}

/** Throws Error when the server serves fewer than two models. */
export async function connect({ url, masterKey, pause = wait }: TargetOptions): Promise<Target> {
  const base = url.replace(/\/$/, '');
  async function send(
    method: string,
    path: string,
    body: unknown,
    bearer: string | null = masterKey,
  ): Promise<Answer> {
    const response = await fetch(`${base}${path}`, {
      method,
      headers: {
        ...(bearer === null ? {} : { authorization: `Bearer ${bearer}` }),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    const isJson = response.headers.get('content-type')?.includes('json') === true && text !== '';
    return { status: response.status, headers: response.headers, body: isJson ? JSON.parse(text) : text };
  }
  const listed = await send('GET', '/v1/models', undefined);
  const names = (listed.body.data as { id: string }[]).map(({ id }) => id);
  const [model, otherModel] = names.filter((name) => !name.includes('*') && !name.includes('embed'));
  if (model === undefined || otherModel === undefined)
    throw new Error(`two chat models are needed, not ${names.join(', ')}`);
  const post: Target['post'] = (path, body, bearer) => send('POST', path, body, bearer);
  return {
    model,
    otherModel,
    send,
    post,
    get: (path, bearer) => send('GET', path, undefined, bearer),
    async key(fields = {}, bearer) {
      const answer = await post('/key/generate', fields, bearer);
      assert.equal(answer.status, 200, JSON.stringify(answer.body));
      return answer.body;
    },
    async info(key) {
      const answer = await send('GET', `/key/info?key=${key}`, undefined);
      assert.equal(answer.status, 200, JSON.stringify(answer.body));
      return answer.body.info;
    },
    chat: (bearer, fields) =>
      post(
        '/v1/chat/completions',
        { model, messages: [{ role: 'user', content: 'Hello' }], max_tokens: 8, ...fields },
        bearer,
      ),
    pause,
    fresh: (prefix) => `${prefix}-${randomBytes(6).toString('hex')}`,
  };
}

async function wait(ms: number): Promise<void> {
  await new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}

export function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

export function assertStatus(answer: Answer, ...allowed: readonly number[]): void {
  assert.ok(
    allowed.includes(answer.status),
    `${answer.status} instead of ${allowed.join(' or ')}: ${JSON.stringify(answer.body)}`,
  );
}

/** Every member of `expected` is there with the same value; more may be there. */
export function assertIncludes(actual: Answer['body'], expected: object): void {
  for (const [name, value] of Object.entries(expected)) assert.deepEqual(actual[name], value, name);
}

/** A refusal for the budget, with the status of the current profile. */
export function assertBudget(answer: Answer): void {
  assert.equal(answer.body.error?.type, 'budget_exceeded', JSON.stringify(answer.body));
  assertStatus(answer, 422, 429, 400);
}

/** A user with this role and a key of its own. */
export async function somebody(
  t: Target,
  role: string,
  fields: object = {},
): Promise<{ id: string; key: string }> {
  const answer = await t.post('/user/new', { user_id: t.fresh('user'), user_role: role, ...fields });
  assert.equal(answer.status, 200, JSON.stringify(answer.body));
  return { id: answer.body.user_id, key: answer.body.key };
}
