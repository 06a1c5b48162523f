import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { postgresPids } from '../bench/cpu.ts';
import { freePort, runCommand, type Server, startServer, temporaryDataDir } from './server.ts';

/** What somebody sees who has configured nothing. */
const folder = temporaryDataDir();
const running: Server[] = [];
const DEMO = { KEYLEDGER_DEMO: 'on', LITELLM_MASTER_KEY: '' };

async function startDemo(): Promise<Server> {
  const server = await startServer(folder.path, DEMO);
  running.push(server);
  await server.printed('Keyledger is ready.');
  await server.printed('npm run reset removes it.');
  return server;
}

afterAll(async () => {
  for (const server of running) await server.stop();
  folder.remove();
});

const masterKeyIn = (output: string) => /Master key +(\S+)/.exec(output)![1]!;
const keyIn = (output: string) => /A key +(\S+)/.exec(output)![1]!;
const pasteIn = (output: string) => /curl (\S+\/v1\/chat\/completions)/.exec(output)![1]!;

test('the first start plays the demo and ends with lines to paste, which work', async () => {
  const server = await startDemo();
  const output = server.output();
  expect(output).toContain('onboarded Bäckerei Sonnenkorn GmbH on plan starter: 2 projects, 4 keys');
  expect(output).toContain('onboarded Fjordlicht Reisen AG on plan studio: 2 projects, 4 keys');
  expect(output).toMatch(/\d+ requests, \d+ tokens, spend 0\.\d+ EUR/);
  expect(output).toContain('blocked -> 401, unblocked -> 200, rotated: old secret -> 401, new -> 200');
  const response = await fetch(pasteIn(output), {
    method: 'POST',
    headers: { authorization: `Bearer ${keyIn(output)}`, 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'demo-small', messages: [{ role: 'user', content: 'Hello' }] }),
  });
  expect(response.status).toBe(200);
  await response.text();
  const page = await fetch(`${server.url}/`, { redirect: 'follow' });
  expect(await page.text()).toContain('swagger');
  expect(await server.stop()).toBe(0);
  expect(server.output()).toContain('stopped');
});

describe('a Ctrl-C', () => {
  const other = temporaryDataDir();
  const slow = { KEYLEDGER_DEMO: 'on', SIMULATED_LATENCY_MS: '60' };
  let server: Server;
  afterAll(async () => {
    await server?.kill();
    other.remove();
  });

  test('breaks the demo off, and the next start completes it without contradicting itself', async () => {
    server = await startServer(other.path, slow);
    await server.printed('Online-Shop, production');
    expect(await server.stop()).toBe(0);
    const before = server.output();
    expect(before).toContain('This is the first start');
    expect(before).toContain('the demo is interrupted');
    expect(before).not.toContain('life of a key');
    server = await startServer(other.path, slow);
    await server.printed('npm run reset removes it.');
    const after = server.output();
    const sums = (output: string) => /Online-Shop, production: .*/.exec(output)![0];
    expect(after).toContain('The demo was interrupted');
    expect(sums(after)).toBe(sums(before));
    expect(after).toContain('Online-Shop, production: 6 requests');
    expect(after).toContain('200  a trial key with a budget of 0.0003 EUR, first call');
    expect(after).toContain('blocked -> 401, unblocked -> 200, rotated: old secret -> 401, new -> 200');
  }, 120_000);

  test('that comes again ends the server at once, and its PostgreSQL with it', async () => {
    const hanging = await fetch(`${server.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${server.masterKey}`, 'content-type': 'application/json' },
      body: JSON.stringify({
        model: 'demo-small',
        messages: [{ role: 'user', content: 'Hello' }],
        stream: true,
        metadata: { simulate: 'hang-mid' },
      }),
    });
    expect(hanging.status).toBe(200);
    const [postgres] = postgresPids(other.path);
    const ended = server.stop();
    await server.printed('finishing what is under way');
    // Two within a moment are one Ctrl-C that came on two ways.
    const again = setInterval(() => server.child.kill('SIGINT'), 100);
    expect(await ended).toBe(130);
    clearInterval(again);
    // Its files are put in order before the server ends; the process itself goes a moment later.
    const isThere = (): boolean => {
      try {
        return process.kill(postgres!, 0);
      } catch {
        return false;
      }
    };
    await expect.poll(isThere, { timeout: 10_000 }).toBe(false);
    await hanging.text().catch(() => undefined);
  }, 60_000);
});

test('a second start goes on with the same data, the same master key, and seeds nothing', async () => {
  const [first] = running;
  const masterKey = masterKeyIn(first!.output());
  const server = await startDemo();
  expect(masterKeyIn(server.output())).toBe(masterKey);
  expect(keyIn(server.output())).toBe(keyIn(first!.output()));
  expect(server.output()).not.toContain('onboarded');
  const tenants = await fetch(`${server.url}/api/tenants`, {
    headers: { authorization: `Bearer ${masterKey}` },
  });
  const { data } = (await tenants.json()) as { data: { name: string | null }[] };
  expect(data.filter(({ name }) => name?.includes('Sonnenkorn'))).toHaveLength(1);
  await server.kill();
});

test('a start after SIGKILL finds the data; a second one on the same folder is turned away', async () => {
  const server = await startDemo();
  const port = String(await freePort());
  const second = await runCommand(['start'], { KEYLEDGER_DATA_DIR: folder.path, PORT: port });
  expect(second.code).toBe(1);
  expect(second.stderr).toContain('KEYLEDGER_DATA_DIR');
  expect(await server.stop()).toBe(0);
});

test('the drawn master key is readable by its owner only', () => {
  const file = join(folder.path, 'master-key');
  expect(statSync(file).mode & 0o777).toBe(0o600);
  expect(readFileSync(file, 'utf8').trim()).toBe(masterKeyIn(running[0]!.output()));
});

test('reset removes the data and nothing else', async () => {
  const { code, stdout } = await runCommand(['reset'], { KEYLEDGER_DATA_DIR: folder.path });
  expect(code).toBe(0);
  expect(stdout).toContain('removed');
  expect(existsSync(folder.path) ? readdirSync(folder.path) : []).toEqual([]);
});

test.each([
  ['missing', undefined],
  ['empty', ''],
  ['a sample', 'sk-1234'],
  ['the sample of the guide', 'sk-change-this-master-key'],
  ['without its prefix', 'a-long-master-key-without-prefix'],
])(
  'with a real upstream it refuses to start when the master key is %s, and names every wrong setting',
  async (_, masterKey) => {
    const { code, stderr } = await runCommand(['start'], {
      KEYLEDGER_DATA_DIR: folder.path,
      UPSTREAM_BASE_URL: 'http://127.0.0.1:9',
      PORT: 'eighty',
      ...(masterKey === undefined ? {} : { LITELLM_MASTER_KEY: masterKey }),
    });
    expect(code).toBe(1);
    expect(stderr).toContain('LITELLM_MASTER_KEY');
    expect(stderr).toContain('PORT');
  },
);
