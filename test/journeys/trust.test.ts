import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { MASTER_KEY, runCommand, type Server, startServer, temporaryDataDir } from './server.ts';

/** An installation that seals its log, and what a third party does with its exports, through the built program. */
const [here, there] = [temporaryDataDir(), temporaryDataDir()];
const databases = new Map<typeof here, TestDatabase>();
const settings = (folder: typeof here) => ({
  KEYLEDGER_DATA_DIR: folder.path,
  LITELLM_MASTER_KEY: MASTER_KEY,
  DATABASE_URL: databases.get(folder)!.url,
});
const bundle = join(here.path, 'all.jsonl');
const publicKey = join(here.path, 'public.pem');
let server: Server;

beforeAll(async () => {
  for (const folder of [here, there]) databases.set(folder, await testDatabase());
  server = await startServer(here.path, { ...settings(here), AGENCY_NAME: 'Nordlicht Digital GmbH' });
  const made = await server.api<{ key: string }>('POST', '/key/generate', { models: ['demo-small'] });
  const call = await fetch(`${server.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${made.body.key}`, 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'demo-small', messages: [{ role: 'user', content: 'Hello' }] }),
  });
  await call.text();
  const month = new Intl.DateTimeFormat('sv-SE', {
    timeZone: 'Europe/Berlin',
    year: 'numeric',
    month: '2-digit',
  });
  await server.api('POST', '/api/invoice-runs', { period: month.format(new Date()) });
});
afterAll(async () => {
  await server?.stop();
  for (const [folder, database] of databases) {
    await database.drop();
    folder.remove();
  }
});

test('the close of a month is sealed, and the public key is given to anybody', async () => {
  const answer = await fetch(`${server.url}/api/audit/public-key`);
  const { public_key: pem, algorithm } = (await answer.json()) as { public_key: string; algorithm: string };
  expect(algorithm).toBe('Ed25519');
  writeFileSync(publicKey, pem);
  expect(statSync(join(here.path, 'audit-signing-key.pem')).mode & 0o777).toBe(0o600);
  const sealed = async () =>
    (await server.api<{ data: { position: string }[] }>('GET', '/api/audit/seals')).body.data;
  while (!(await sealed()).some(({ position }) => Number(position) > 5));
  const { stdout } = await runCommand(
    ['audit', 'verify', '--json', '--public-key', publicKey],
    settings(here),
  );
  const report = JSON.parse(stdout) as { ok: boolean; sealedTo: string };
  expect(report.ok, stdout).toBe(true);
  expect(Number(report.sealedTo)).toBeGreaterThanOrEqual(5);
});

test('a key is handed over while the server runs, and its successor is trusted with it', async () => {
  const rotated = await runCommand(['audit', 'rotate-key'], settings(here));
  expect(rotated.code, rotated.stderr).toBe(0);
  const { body } = await server.api<{ earlier: { handed_over: boolean }[] }>('GET', '/api/audit/public-key');
  expect(body.earlier).toMatchObject([{ handed_over: true }]);
  const verified = await runCommand(['audit', 'verify', '--public-key', publicKey], settings(here));
  expect(verified.code, verified.stdout).toBe(0);
});

test('an export is checked offline, and what is altered in it is found', async () => {
  const written = await runCommand(['audit', 'export', '--all', '--out', bundle], settings(here));
  expect(written.code, written.stderr).toBe(0);
  // Whoever opens a connection ends the process.
  const offline = `import net from 'node:net'; net.Socket.prototype.connect = () => process.exit(9);`;
  const check = (file: string) =>
    runCommand(['audit', 'verify', '--offline', file, '--public-key', publicKey], {
      NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(offline)}`,
    });
  const good = await check(bundle);
  expect(good.code, good.stdout + good.stderr).toBe(0);
  const altered = join(here.path, 'altered.jsonl');
  writeFileSync(altered, readFileSync(bundle, 'utf8').replace('key.generated', 'key.generates'));
  const bad = await check(altered);
  expect(bad.code).toBe(1);
  expect(bad.stdout).toContain('NOT VERIFIED');
  const part = await runCommand(['audit', 'export', '--tenant', 'ten_own'], settings(here));
  const partFile = join(here.path, 'part.jsonl');
  writeFileSync(partFile, part.stdout);
  const checked = await check(partFile);
  expect(checked.code, checked.stdout + checked.stderr).toBe(0);
});

test('an import into an empty installation is trusted with the key of the first', async () => {
  const imported = await runCommand(['import', bundle], settings(there));
  expect(imported.code, imported.stdout + imported.stderr).toBe(0);
  const verified = await runCommand(['audit', 'verify', '--public-key', publicKey], settings(there));
  expect(verified.code, verified.stdout + verified.stderr).toBe(0);
});

test('a server goes on with an imported log, and seals it once its key was taken over', async () => {
  const other = await startServer(there.path, { ...settings(there), AGENCY_NAME: 'Nordlicht Digital GmbH' });
  try {
    expect(other.output()).toContain('the log is not sealed: The log is sealed with the key');
    expect((await other.api('GET', '/key/list')).status).toBe(200);
    const refused = await runCommand(['audit', 'rotate-key'], settings(there));
    expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining('not at hand') });
    const taken = await runCommand(['audit', 'rotate-key', '--force'], settings(there));
    expect(taken.code, taken.stderr).toBe(0);
    const mine = await runCommand(['audit', 'verify'], settings(there));
    expect(mine.code, mine.stdout).toBe(0);
    const theirs = await runCommand(['audit', 'verify', '--public-key', publicKey], settings(there));
    expect(theirs.stdout).toContain('is none that you trust');
  } finally {
    await other.stop();
  }
});
