import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Admin, startAdmin } from '../support/admin.ts';

let admin: Admin;
const dir = mkdtempSync(join(tmpdir(), 'keyledger-ui-'));
beforeAll(async () => {
  mkdirSync(join(dir, 'assets'));
  writeFileSync(join(dir, 'index.html'), '<!doctype html><title>Keyledger</title>');
  writeFileSync(join(dir, 'assets', 'main-abc.js'), 'export {};\n'.repeat(100));
  writeFileSync(join(dir, 'secret.txt'), 'not a part of the console');
  admin = await startAdmin({ deps: { consoleDir: dir } });
});
afterAll(async () => {
  await admin?.close();
  rmSync(dir, { recursive: true });
});

const get = (url: string, headers: Record<string, string> = {}) => admin.call({ url, bearer: null, headers });

test('every page of the console is the one document, under a policy that lets in nothing foreign or inline', async () => {
  for (const url of ['/ui/', '/ui/keys/key_1', '/ui/onboarding?id=ivt_1']) {
    const { status, headers, body } = await get(url);
    expect(status, url).toBe(200);
    expect(body).toContain('<title>Keyledger</title>');
    expect(headers['cache-control']).toBe('no-cache');
    const policy = String(headers['content-security-policy']);
    expect(policy).toContain("default-src 'none'; script-src 'self'; style-src 'self'");
    expect(policy).toContain("frame-ancestors 'none'");
    expect(policy).not.toContain('unsafe');
    expect(policy).not.toMatch(/https?:|\*/);
  }
  expect((await get('/ui')).headers['location']).toBe('/ui/');
});

test('what its name changes with is kept for good, compressed, and answered briefly when it is known', async () => {
  const first = await get('/ui/assets/main-abc.js', { 'accept-encoding': 'gzip' });
  expect(first.headers).toMatchObject({
    'content-type': 'text/javascript; charset=utf-8',
    'content-encoding': 'gzip',
    'cache-control': 'public, max-age=31536000, immutable',
  });
  const again = await get('/ui/assets/main-abc.js', { 'if-none-match': String(first.headers['etag']) });
  expect(again).toMatchObject({ status: 304, body: '' });
});

test('nothing else is served: no missing file, no other kind, nothing outside', async () => {
  for (const url of ['/ui/assets/gone.js', '/ui/secret.txt', '/ui/..%2f..%2fpackage.json']) {
    expect((await get(url)).status, url).toBe(404);
  }
});
