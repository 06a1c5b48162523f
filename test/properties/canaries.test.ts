import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Admin, MASTER_KEY, OWN, startAdmin } from '../support/admin.ts';

/**
 * Secrets sent through every route, in every place that may take one, right and wrong: what is kept,
 * logged and measured afterwards has none of them.
 */
const MARK = 'canary7f3a';
const SECRET = `sk-${MARK}-secret-of-a-key-0123456789`;
const UPSTREAM = `${MARK}-upstream-credential`;
const PROMPT = `${MARK} what I told the model`;

let admin: Admin;
beforeAll(async () => {
  admin = await startAdmin();
  await admin.call({ url: '/key/generate', body: { key: SECRET, key_alias: 'the one with the secret' } });
});
afterAll(() => admin?.close());

const query = ['key', 'api_key', 'key_hash', 'token'].map((name) => `${name}=${SECRET}`).join('&');
const body = {
  key: SECRET,
  keys: [SECRET],
  api_key: SECRET,
  token: SECRET,
  new_key: SECRET,
  new_master_key: SECRET,
  model: 'demo-small',
  model_name: 'demo-new',
  litellm_params: {
    model: 'openai/x',
    api_base: 'https://upstream.example/v1',
    api_key: UPSTREAM,
    aws_secret_access_key: UPSTREAM,
    extra_headers: { authorization: UPSTREAM },
  },
  messages: [{ role: 'user', content: PROMPT }],
  prompt: PROMPT,
  // Of Stripe, of alerts and of people.
  secret_key: `sk_test_${MARK}0123456789`,
  webhook_secret: `whsec_${MARK}0123456789`,
  secret: UPSTREAM,
  password: UPSTREAM,
  new_password: UPSTREAM,
  username: 'admin',
  methods: ['card'],
};

test('no secret that was sent to any route is in logs, events, tables, metrics or answers', async () => {
  const all = admin.app.routeTable.routes.filter(({ method, hidden }) => method !== 'HEAD' && !hidden);
  // What ends the key comes last: it is what the others are tried with.
  const ends = ({ url }: { readonly url: string }) => /delete|regenerate|block/.test(url);
  const routes = [...all.filter((route) => !ends(route)), ...all.filter(ends)];
  const shown: string[] = [];
  for (const { method, url } of routes) {
    const path = url.replaceAll(/:\w+|\*/g, SECRET);
    const reads = method === 'GET';
    for (const bearer of [MASTER_KEY, SECRET, `${SECRET}x`]) {
      const answer = await admin.call({
        method: method as 'GET',
        url: `${path}?${query}`,
        bearer,
        ...(reads ? {} : { body }),
        headers: { 'x-litellm-tags': 'a' },
      });
      expect(answer.status, `${method} ${url}`).toBeLessThan(500);
      const text = JSON.stringify(answer.body);
      // A name is answered as it was sent, where LiteLLM's clients read it back.
      if (text.includes(UPSTREAM) || text.includes(PROMPT)) shown.push(`${method} ${url}`);
    }
    if (!reads) await admin.call({ method: method as 'POST', url: path, body: `{"key": "${SECRET}", "x": ` });
    // What is set for an agency is kept, sealed: with the name of one that there is.
    const own = url.replace('/api/agencies/:id', `/api/agencies/${OWN.agencyId}`).replaceAll(/:\w+/g, 'none');
    if (own.startsWith(`/api/agencies/${OWN.agencyId}`)) {
      const { secret_key, webhook_secret, methods } = body;
      const sent = url.endsWith('/stripe') ? { secret_key, webhook_secret, methods } : body;
      const answer = await admin.call({
        method: method as 'PUT',
        url: own,
        ...(reads ? {} : { body: sent }),
      });
      if (JSON.stringify(answer.body).includes(MARK)) shown.push(`${method} ${own}`);
    }
  }
  expect(shown).toEqual([]);

  const { rows: tables } = await admin.pool.query<{ name: string }>(
    `select c.relname as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where n.nspname = 'public' and c.relkind in ('r', 'm')`,
  );
  expect(tables.length).toBeGreaterThan(15);
  for (const { name } of tables) {
    const { rows } = await admin.pool.query(
      `select t::text as row from "${name}" t where strpos(t::text, $1) > 0 limit 3`,
      [MARK],
    );
    expect(rows, name).toEqual([]);
  }
  expect(admin.logged.filter((line) => line.includes(MARK))).toEqual([]);
  expect((await admin.call({ url: '/metrics', bearer: null })).body).not.toContain(MARK);
}, 120_000);

test('a failing server says and logs nothing of what was sent', async () => {
  const broken = await startAdmin({
    deps: {
      quote: () => {
        throw new Error('broken');
      },
    },
  });
  try {
    const sent = { model: 'demo-small', messages: [{ role: 'user', content: PROMPT }], key: SECRET };
    const answer = await broken.call({ url: `/spend/calculate?api_key=${SECRET}`, body: sent });
    expect(answer.status).toBe(500);
    expect(JSON.stringify(answer.body)).not.toContain(MARK);
    expect(broken.logged).toHaveLength(1);
    expect(broken.logged[0]).not.toContain(MARK);
  } finally {
    await broken.close();
  }
});
