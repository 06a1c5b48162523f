import type { FastifyInstance } from 'fastify';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ROLES } from '../../src/http/route-roles.ts';
import { prepareReader, READER } from '../../src/row-security.ts';
import { openDatabase } from '../../src/database.ts';
import { readModels } from '../../src/read-models.ts';
import { type Admin, type Answer, startAdmin } from '../support/admin.ts';
import { type People, people, type Person, TEAM } from '../support/people.ts';
import { namings, probesOf } from '../support/probes.ts';
import { type Victim, victim } from '../support/victim.ts';

/**
 * The API without its own checks: every route is open to everybody, and every handler takes whoever
 * asks for the administrator. What PostgreSQL shows is all that stands between the tenants.
 */
function withoutChecks(app: FastifyInstance): void {
  app.addHook('onRoute', ({ config }) => {
    if (config?.allows !== undefined && !config.allows.roles.includes('public'))
      config.allows = { roles: KNOWN, refusal: 'admin_only' };
  });
  app.addHook('onRequest', (request, _reply, done) => {
    if (request.caller !== null && request.caller.role !== 'proxy_admin')
      request.caller = { role: 'proxy_admin', userId: 'nobody', key: null };
    done();
  });
}

const KNOWN = ROLES.filter((role) => role !== 'public' && role !== 'auditor');

const ATTACKERS = [
  'org_admin',
  'team_admin',
  'team_user',
  'internal_user',
  'internal_user_viewer',
  'key',
] as const satisfies readonly Person[];

/** Reads that are sent with a body. */
const POSTS = [
  '/v2/key/info',
  '/organization/info',
  '/tag/info',
  '/spend/calculate',
  '/api/tenants/:id/contract/preview',
  '/cost/estimate',
  '/global/spend/end_users',
];
/** What the administrator alone reads past the read models: the log, and the records of billing. */
const ELSEWHERE = /^\/api\/(audit|credentials|outbox|invoice-runs|exports|agencies\/:id|tenants\/:id\/vat)/;

let admin: Admin;
let who: People;
let target: Victim;
beforeAll(async () => {
  admin = await startAdmin({ prepare: withoutChecks });
  who = await people(admin);
  target = await victim(admin);
});
afterAll(() => admin?.close());

describe('with the checks of the API switched off, PostgreSQL', () => {
  test('shows the administrator what is there, so that the next test can fail', async () => {
    const { body } = await admin.call({ url: `/key/info?key=${target.ids.key}` });
    expect(JSON.stringify(body)).toContain('canary-note');
  });

  test('shows nobody anything of somebody else, whatever is asked of every route that reads', async () => {
    const routes = admin.app.routeTable.routes.filter(
      ({ method, url, hidden }) =>
        !hidden && !ELSEWHERE.test(url) && (method === 'GET' || POSTS.includes(url)),
    );
    const leaks: string[] = [];
    let answered = 0;
    for (const person of ATTACKERS) {
      const own = { team: TEAM, user: `user-${person}` };
      const probes = routes.flatMap((route) =>
        namings(target.ids).flatMap((naming) => probesOf(route, naming, own)),
      );
      // A part of them for each: together every route meets every kind of name.
      const asked = probes.filter((_, i) => i % ATTACKERS.length === ATTACKERS.indexOf(person));
      for (let i = 0; i < asked.length; i += 16) {
        const some = asked.slice(i, i + 16);
        const answers: Answer[] = await Promise.all(
          some.map(({ name: _name, ...call }) => admin.call({ ...call, bearer: who.keys[person] })),
        );
        for (const [index, { status, body }] of answers.entries()) {
          const text = JSON.stringify(body);
          const shown = target.canaries.find((canary) => text.includes(canary));
          if (shown !== undefined || status === 500)
            leaks.push(`${some[index]!.name} as ${person}: ${status} ${shown}`);
          if (status < 400) answered += 1;
        }
      }
    }
    expect([...new Set(leaks)]).toEqual([]);
    expect(answered).toBeGreaterThan(300);
  }, 120_000);
});

describe('the reader', () => {
  test('sees no row of any table before it is told for whom it reads, but what belongs to nobody', async () => {
    const open: string[] = [];
    const { rows } = await admin.pool.query<{ name: string }>(
      `select relname as name from pg_class where relkind = 'v' and relnamespace = 'public'::regnamespace`,
    );
    expect(rows).toHaveLength(readModels.length);
    const reader = openDatabase({ url: urlOf(admin), poolMax: 1, applicationName: 'test', role: READER });
    try {
      for (const { name } of [...rows, { name: 'contacts' }, { name: 'project_names' }]) {
        const found = await reader.pool.query(`select 1 from "${name}" limit 1`);
        if (found.rows.length > 0) open.push(name);
      }
      for (const name of ['events', 'sessions', 'passwords']) {
        await expect(reader.pool.query(`select 1 from "${name}"`)).rejects.toThrow('permission denied');
      }
      await expect(reader.pool.query(`delete from keys`)).rejects.toThrow('permission denied');
    } finally {
      await reader.close();
    }
    expect(open.toSorted()).toEqual(['agencies', 'plans']);
  });

  test('is made by a user who is no superuser, and its absence is named by one who may not make it', async () => {
    const url = new URL(urlOf(admin));
    const [plain, maker] = ['plain', 'maker'].map((name) => `${name}_${url.pathname.slice(1)}`) as [
      string,
      string,
    ];
    await admin.pool.query(
      `create role ${plain} login password 'x'; create role ${maker} login createrole password 'x'`,
    );
    const as = async (name: string): Promise<string | null> => {
      const other = new URL(url);
      [other.username, other.password] = [name, 'x'];
      const { pool, close } = openDatabase({ url: other.href, poolMax: 1, applicationName: 'test' });
      try {
        return await prepareReader(pool);
      } finally {
        await close();
      }
    };
    try {
      expect(await as(plain)).toContain(`GRANT ${READER} TO "${plain}"`);
      await admin.pool.query(`grant ${READER} to ${maker} with admin option`);
      // The records belong to somebody else in this database, and are made secure already.
      expect(await as(maker)).toBeNull();
    } finally {
      await admin.pool.query(`drop role ${plain}; drop role ${maker}`);
    }
  });
});

function urlOf({ pool }: Admin): string {
  const { connectionString } = pool.options as { readonly connectionString: string };
  return connectionString;
}
