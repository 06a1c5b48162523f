import { afterAll, expect, test } from 'vitest';
import { type Server, startServer, temporaryDataDir } from './server.ts';

/** Each costs a start; KILLS=20 makes a longer run. */
const KILLS = Number(process.env['KILLS'] ?? 5);
const folder = temporaryDataDir();
let server: Server | undefined;

afterAll(async () => {
  await server?.stop();
  folder.remove();
});

test(`the spend of every answered request survives ${KILLS} SIGKILLs right after the answer, once`, {
  timeout: 150_000,
}, async () => {
  server = await startServer(folder.path);
  const { body } = await server.api<{ key: string }>('POST', '/key/generate', { key_alias: 'survivor' });
  let answered = 0;
  for (let round = 0; round < KILLS; round += 1) {
    // A few at once, so that the kill also falls between requests; only what was answered counts.
    const sent = Array.from({ length: 3 }, async () => {
      const response = await fetch(`${server!.url}/v1/chat/completions`, {
        method: 'POST',
        headers: { authorization: `Bearer ${body.key}`, 'content-type': 'application/json' },
        body: JSON.stringify({
          model: 'demo-small',
          messages: [{ role: 'user', content: `Runde ${round}` }],
          max_tokens: 8,
        }),
      });
      if ((await response.text()).includes('"usage"')) answered += 1;
    });
    await Promise.all(sent);
    await server.kill();
    server = await startServer(folder.path);
  }
  expect(answered).toBe(3 * KILLS);
  const { body: audit } = await server.api<{ spend: { requests: number }[] }>(
    'GET',
    '/api/audit/keys/survivor',
  );
  expect(audit.spend.reduce((sum, period) => sum + period.requests, 0)).toBe(answered);
});
