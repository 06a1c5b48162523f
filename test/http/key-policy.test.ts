import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readCredential } from '../../src/credentials.ts';
import { withCustomAuth } from '../../src/custom-auth.ts';
import { type CustomAuth, type CustomKeyGenerate, customModules } from '../../src/custom-modules.ts';
import { keyPolicy } from '../../src/http/key-policy.ts';
import { readLitellmConfig } from '../../src/litellm-config.ts';
import { NO_KEY_POLICY } from '../../src/litellm-keys.ts';
import { type Admin, startAdmin } from '../support/admin.ts';
import { type People, people, TEAM } from '../support/people.ts';

const FILE = `
litellm_settings:
  default_key_generate_params: { max_budget: 5, metadata: { made_by: policy } }
  upperbound_key_generate_params: { max_budget: 100, duration: 30d, rpm_limit: 60, budget_duration: 30d }
  key_generation_settings:
    team_key_generation: { allowed_team_member_roles: [admin], required_params: [key_alias] }
    personal_key_generation: { allowed_user_roles: [proxy_admin], required_params: [] }
general_settings:
  custom_key_generate: ./decide.ts
  custom_auth: ./auth.mjs
  alerting: [slack]
`;
const asked: string[] = [];
const decide: CustomKeyGenerate = ({ fields, caller, route }) => {
  asked.push(`${caller.role} ${route}`);
  return fields['metadata'] != null && JSON.stringify(fields['metadata']).includes('forbidden')
    ? { decision: false, message: 'Not such a key.' }
    : { decision: true };
};

let admin: Admin;
let who: People;
beforeAll(async () => {
  const { keyPolicy: settings } = readLitellmConfig(FILE, '/etc/keyledger/config.yaml', {}, undefined);
  let policy = keyPolicy(NO_KEY_POLICY, null);
  admin = await startAdmin({
    deps: {
      get keyPolicy() {
        return policy;
      },
    },
  });
  who = await people(admin);
  policy = keyPolicy(settings, decide);
  Object.assign(admin.deps, { keyPolicy: policy });
});
afterAll(() => admin?.close());

const generate = (body: object, bearer?: string) =>
  admin.call({ url: '/key/generate', body, ...(bearer === undefined ? {} : { bearer }) });

describe('the options of the config file about keys', () => {
  test('are read with the paths of modules beside the file, and what has no effect is named', () => {
    const { keyPolicy: settings, ignored } = readLitellmConfig(
      FILE,
      '/etc/keyledger/config.yaml',
      {},
      undefined,
    );
    expect(settings.customGenerate).toBe('/etc/keyledger/decide.ts');
    expect(settings.customAuth).toBe('/etc/keyledger/auth.mjs');
    expect(ignored).toEqual(['general_settings.alerting']);
    const python = 'general_settings: { custom_auth: custom_auth.user_api_key_auth }';
    expect(() => readLitellmConfig(python, 'f.yaml', {}, undefined)).toThrow(
      'general_settings.custom_auth: expected the path of a .ts or .js module',
    );
    expect(() => keyPolicy({ ...NO_KEY_POLICY, defaults: { max_budget: 'much' } }, null)).toThrow(
      'max_budget',
    );
    expect(() => keyPolicy({ ...NO_KEY_POLICY, upperBounds: { duration: 'long' } }, null)).toThrow(
      'duration',
    );
  });

  test('fill what is left out, and not what is named or cleared', async () => {
    const { body } = await generate({ duration: '1d' });
    expect(body).toMatchObject({ max_budget: 5, metadata: { made_by: 'policy' }, rpm_limit: 60 });
    expect((await generate({ max_budget: 7, metadata: {} })).body).toMatchObject({
      max_budget: 7,
      metadata: {},
    });
  });

  test('bound what may be asked for, on every way to it, and stand where nothing is asked for', async () => {
    const { body } = await generate({ max_budget: null });
    expect(body).toMatchObject({
      max_budget: 100,
      budget_duration: '30d',
      expires: '2026-12-20T10:00:00.000Z',
    });
    const { key } = body;
    const refused = async (url: string, sent: object, text: string) => {
      const answer = await admin.call({ url, body: sent });
      expect([answer.status, answer.body.error.message]).toEqual([
        400,
        `${text.split(' ')[0]} is over max limit set in config - ${text.split(' ').slice(1).join(' ')}`,
      ]);
    };
    await refused('/key/generate', { max_budget: 101 }, 'max_budget user_value=101; max_value=100.');
    await refused('/key/generate', { duration: '31d' }, 'duration user_value=31d; max_value=30d.');
    await refused(
      '/key/generate',
      { expires: '2027-01-31' },
      'duration user_value=2027-01-31; max_value=30d.',
    );
    await refused('/key/update', { key, rpm_limit: 61 }, 'rpm_limit user_value=61; max_value=60.');
    await refused('/key/update', { key, duration: '-1' }, 'duration user_value=-1; max_value=30d.');
    await refused(
      `/key/${key}/regenerate`,
      { max_budget: '100.5' },
      'max_budget user_value=100.5; max_value=100.',
    );
    const bulk = await admin.call({ url: '/key/bulk_update', body: { keys: [{ key, max_budget: 500 }] } });
    expect(bulk.body.failed_updates[0].failed_reason).toContain('over max limit');
    expect((await admin.call({ url: '/key/update', body: { key, rpm_limit: null } })).body.rpm_limit).toBe(
      60,
    );
  });

  test('say who makes keys, for a team and for themselves, and what has to be named', async () => {
    const personal = await generate({}, who.keys.internal_user);
    expect([personal.status, personal.body.error.message]).toEqual([
      400,
      'Personal key creation has been restricted by admin. Allowed roles=proxy_admin. Your role=internal_user.',
    ]);
    const member = await generate({ team_id: TEAM, key_alias: 'a' }, who.keys.team_user);
    expect(member.body.error.message).toBe('Team member role user not in allowed_team_member_roles=admin.');
    const nameless = await generate({ team_id: TEAM }, who.keys.team_admin);
    expect([nameless.status, nameless.body.error.param]).toEqual([400, 'key_alias']);
    expect((await generate({ team_id: TEAM, key_alias: 'named' }, who.keys.team_admin)).status).toBe(200);
  });

  test('ask the module before anything else, which knows who asks and for what', async () => {
    asked.length = 0;
    const denied = await generate({ metadata: { forbidden: true }, max_budget: 1_000 });
    expect([denied.status, denied.body.error.message, denied.body.error.reason]).toEqual([
      403,
      'Not such a key.',
      'key_generation_denied',
    ]);
    await generate({ team_id: TEAM, key_alias: 'asked' }, who.keys.team_admin);
    expect(asked).toEqual(['proxy_admin /key/generate', 'internal_user /key/generate']);
  });
});

describe('modules of the operator', () => {
  test('are read from TypeScript, and a missing one or one without a function is named', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'keyledger-modules-'));
    try {
      await writeFile(
        join(dir, 'decide.ts'),
        'export default (r: { route: string }): object => ({ decision: r.route !== "" });',
      );
      await writeFile(join(dir, 'none.mjs'), 'export const other = 1;');
      const { generate: loaded, auth } = await customModules({
        customGenerate: join(dir, 'decide.ts'),
        customAuth: null,
      });
      expect(auth).toBeNull();
      expect(loaded!({ fields: {}, caller: { userId: null, role: 'key' }, route: '/x' })).toEqual({
        decision: true,
      });
      const load = (customAuth: string) =>
        customModules({ customGenerate: null, customAuth: join(dir, customAuth) });
      await expect(load('none.mjs')).rejects.toThrow('custom_auth: ');
      await expect(load('nowhere.mjs')).rejects.toThrow('there is no file');
    } finally {
      await rm(dir, { recursive: true });
    }
  });

  test('name the key of a request in front of everything, and let the administrator and the keyless by', async () => {
    const logged: unknown[] = [];
    const auth: CustomAuth = ({ headers, url }) => {
      if (url === '/broken') throw new Error('no such token');
      return headers['authorization'] === 'Bearer jwt' ? 'sk-the-virtual-key-0123456789' : null;
    };
    const seen = withCustomAuth(
      (request, response) => {
        let secret = 'none';
        try {
          secret = readCredential(request.rawHeaders);
        } catch {
          // Shown as none.
        }
        response.end(`${secret} ${request.headers['authorization'] ?? ''}`);
      },
      auth,
      { keyHeader: null, masterKey: 'sk-master', log: { warn: (line: unknown) => void logged.push(line) } },
    );
    const server = createServer(seen).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const ask = async (path: string, headers: Record<string, string>) =>
      await fetch(`${base}${path}`, { headers });
    try {
      expect(await (await ask('/', { authorization: 'Bearer jwt' })).text()).toBe(
        'sk-the-virtual-key-0123456789 Bearer sk-the-virtual-key-0123456789',
      );
      expect(await (await ask('/', { 'x-api-key': 'sk-own' })).text()).toBe('sk-own ');
      expect(await (await ask('/broken', { authorization: 'Bearer sk-master' })).text()).toContain(
        'sk-master',
      );
      expect(await (await ask('/broken', {})).text()).toBe('none ');
      const refused = await ask('/broken', { authorization: 'Bearer anything' });
      expect(refused.status).toBe(401);
      expect(await refused.text()).not.toContain('no such token');
      expect(JSON.stringify(logged)).toContain('no such token');
    } finally {
      server.close();
      server.closeAllConnections();
    }
  });
});
