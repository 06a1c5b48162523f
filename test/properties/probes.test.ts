import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Role } from '../../src/http/route-roles.ts';
import { type Admin, type Answer, startAdmin } from '../support/admin.ts';
import { type People, people, type Person, TEAM } from '../support/people.ts';
import { namings, type Probe, probesOf } from '../support/probes.ts';
import { nobody, type Victim, victim } from '../support/victim.ts';

/** Everybody who is no administrator, against an organization that is none of theirs. */
const ATTACKERS = [
  'org_admin',
  'team_admin',
  'team_user',
  'internal_user',
  'internal_user_viewer',
  'key',
] as const satisfies readonly Person[];
/** What each of them is, in the words of the table. */
const ROLES: Readonly<Record<(typeof ATTACKERS)[number], readonly Role[]>> = {
  org_admin: ['internal_user', 'org_admin', 'key', 'public'],
  team_admin: ['internal_user', 'team_admin', 'key', 'public'],
  team_user: ['internal_user', 'team_user', 'key', 'public'],
  internal_user: ['internal_user', 'key', 'public'],
  internal_user_viewer: ['internal_user_viewer', 'key', 'public'],
  key: ['key', 'public'],
};
const ALL = process.env['PROBES'] === 'all';
/** Requests on their way at once. */
const AT_ONCE = 16;

let admin: Admin;
let who: People;
let target: Victim;
const done: {
  readonly probe: Probe;
  readonly person: Person;
  readonly answer: Answer;
  readonly sent: string;
}[] = [];
const twins: [foreign: (typeof done)[number], nobody: (typeof done)[number]][] = [];
let before: bigint;

beforeAll(async () => {
  admin = await startAdmin();
  who = await people(admin);
  target = await victim(admin);
  before = await admin.store.head();
  const routes = admin.app.routeTable.routes.filter(({ method, hidden }) => method !== 'HEAD' && !hidden);
  let number = 0;
  const pairs: [Task, Task][] = [];
  const singles: Task[] = [];
  for (const [turn, person] of ATTACKERS.entries()) {
    for (const route of routes) {
      const own = { team: TEAM, user: `user-${person}` };
      const [foreign, other] = [target.ids, nobody((number += 1))].map((ids) =>
        namings(ids).map((naming) =>
          probesOf(route, naming, own).map((probe) => ({ probe, person, sent: naming.id })),
        ),
      ) as [Task[][], Task[][]];
      // Whom the route is not for is refused before anything is read: once for each kind of name is enough.
      if (!ROLES[person].some((role) => route.roles.includes(role)))
        singles.push(...foreign.map(([one]) => one!));
      else {
        const both = foreign.flat().map((one, i): [Task, Task] => [one, other.flat()[i]!]);
        // Each place of each route meets each kind of name from every third; PROBES=all from everybody.
        pairs.push(...both.filter((_, i) => ALL || i % 3 === turn % 3));
      }
    }
  }
  const [compared, rest] = ALL
    ? [pairs, []]
    : [pairs.filter((_, i) => i % 2 === 0), pairs.filter((_, i) => i % 2 === 1)];
  done.push(
    ...(await atOnce([...singles.filter((_, i) => ALL || i % 4 === 0), ...rest.map(([one]) => one)], run)),
  );
  twins.push(
    ...(await atOnce(
      compared,
      async ([one, twin]) => [await run(one), await run(twin)] as (typeof twins)[number],
    )),
  );
  done.push(...twins.flat());
}, 240_000);
afterAll(() => admin?.close());

async function atOnce<T, R>(tasks: readonly T[], task: (one: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  for (let i = 0; i < tasks.length; i += AT_ONCE) {
    results.push(...(await Promise.all(tasks.slice(i, i + AT_ONCE).map(task))));
  }
  return results;
}

type Task = Pick<(typeof done)[number], 'probe' | 'person' | 'sent'>;

async function run(task: Task): Promise<(typeof done)[number]> {
  const { name: _name, ...call } = task.probe;
  return { ...task, answer: await admin.call({ ...call, bearer: who.keys[task.person] }) };
}

const named = ({ probe, person, answer }: (typeof done)[number]): string =>
  `${probe.name} as ${person}: ${answer.status} ${JSON.stringify(answer.body).slice(0, 160)}`;

describe('names of somebody else, in every place of every route, from everybody', () => {
  test('there are enough of them, and none breaks the server', () => {
    expect(done.length).toBeGreaterThan(ALL ? 5_000 : 3_000);
    // Whether it is ready may be "no" on a busy machine; that is no break.
    const asked = done.filter(({ probe }) => !probe.name.includes(' /health/readiness '));
    expect(asked.filter(({ answer }) => answer.status >= 500).map(named)).toEqual([]);
  });

  test('show nothing of what is theirs', () => {
    // The names themselves were sent by those who ask; what they never sent, they must never read.
    const leaks = done.flatMap((one) => {
      const text = JSON.stringify(one.answer.body);
      const at = target.canaries.map((canary) => text.indexOf(canary)).filter((place) => place >= 0);
      return at
        .slice(0, 1)
        .map((place) => `${one.probe.name} as ${one.person}: …${text.slice(place - 80, place + 60)}`);
    });
    expect([...new Set(leaks)]).toEqual([]);
  });

  test('are answered as if there were no such thing', () => {
    // What is refused as somebody else's must not be told from what is not there. Names that are free
    // in the caller's own organization are another matter: there, one of the two may be taken already.
    const reasonOf = ({ answer }: (typeof done)[number]): string => answer.body?.error?.reason ?? 'none';
    const told = twins.filter(
      ([foreign, other]) =>
        [401, 403, 404].includes(foreign.answer.status) && reasonOf(foreign) !== reasonOf(other),
    );
    expect(told.map(([foreign, other]) => `${named(foreign)} / ${other.answer.status}`)).toEqual([]);
  });

  test('write nothing where they are refused, and nothing of theirs anywhere', async () => {
    const refused = new Set(
      done.filter(({ answer }) => answer.status >= 400).map(({ answer }) => answer.headers['x-request-id']),
    );
    const { rows } = await admin.pool.query<{
      type: string;
      tenant: string;
      request: string;
      stream: string;
    }>(
      'select type, stream, tenant_id as tenant, correlation_id as request from events where position > $1',
      [before],
    );
    expect(rows.filter(({ request }) => refused.has(request))).toEqual([]);
    expect(rows.filter(({ tenant }) => tenant === target.tenantId)).toEqual([]);
  });
});
