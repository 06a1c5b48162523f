/** What the management API is about, as simply as it can be said, and commands that do the same to both. */
import { strict as assert } from 'node:assert';
import * as fc from 'fast-check';
import type { Admin, Answer } from './admin.ts';

interface Key {
  readonly id: string;
  token: string;
  alias: string | null;
  team: string | null;
  user: string | null;
  max_budget: number | null;
  rpm_limit: number | null;
  blocked: boolean;
}
interface Team {
  alias: string;
  blocked: boolean;
  open: boolean;
  rpm_limit: number | null;
  readonly members: Set<string>;
}

export interface Model {
  /** Live ones, oldest first. */
  keys: Key[];
  /** Token hashes that no longer mean anything. */
  readonly gone: string[];
  /** By id; closed ones stay. */
  readonly teams: Map<string, Team>;
  readonly users: Set<string>;
  /** Id -> max_budget. */
  readonly budgets: Map<string, number | null>;
}

export const emptyModel = (): Model => ({
  keys: [],
  gone: [],
  teams: new Map(),
  users: new Set(),
  budgets: new Map(),
});

/** The server, and what makes the names of one sequence its own. */
export interface Real {
  readonly admin: Admin;
  readonly prefix: string;
}

const post = (real: Real, url: string, body: object): Promise<Answer> => real.admin.call({ url, body });
const isOpen = (m: Model, team: string | null): boolean => team === null || m.teams.get(team)?.open === true;

function drop(m: Model, which: (key: Key) => boolean): void {
  m.gone.push(...m.keys.filter(which).map(({ token }) => token));
  m.keys = m.keys.filter((key) => !which(key));
}

type Run = (m: Model, real: Real) => Promise<void>;
const command = (name: string, run: Run, check: (m: Model) => boolean = () => true) => ({
  check,
  run,
  toString: () => name,
});

const name = (kind: string) => fc.constantFrom(`${kind}-a`, `${kind}-b`, `${kind}-c`);
const amount = fc.constantFrom(null, 1, 2.5, 100);
const rate = fc.constantFrom(null, 1, 60);
const place = fc.nat({ max: 5 });
const own = (real: Real, id: string | null): string | null => (id === null ? null : `${real.prefix}-${id}`);
const pick = (m: Model, index: number): Key => m.keys[index % m.keys.length]!;
const someKey = (m: Model): boolean => m.keys.length > 0;

const generate = fc
  .record({
    alias: fc.option(name('alias')),
    team: fc.option(name('team')),
    user: fc.option(name('user')),
    max_budget: amount,
    rpm_limit: rate,
  })
  .map((fields) =>
    command(`generate ${JSON.stringify(fields)}`, async (m, real) => {
      const { max_budget, rpm_limit } = fields;
      const [alias, team, user] = [fields.alias, fields.team, fields.user].map((one) => own(real, one));
      const body = { key_alias: alias, team_id: team, user_id: user, max_budget, rpm_limit };
      const answer = await post(real, '/key/generate', body);
      const taken = alias !== null && m.keys.some((key) => key.alias === alias);
      if (taken || !isOpen(m, team!)) return assert.equal(answer.status, 400, JSON.stringify(answer.body));
      assert.equal(answer.status, 200, JSON.stringify(answer.body));
      const { token, key_id: id } = answer.body;
      m.keys.push({
        id,
        token,
        alias: alias!,
        team: team!,
        user: user!,
        max_budget,
        rpm_limit,
        blocked: false,
      });
    }),
  );

const update = fc.record({ place, max_budget: amount, rpm_limit: rate }).map(({ place: at, ...fields }) =>
  command(
    `update key ${at} ${JSON.stringify(fields)}`,
    async (m, real) => {
      const key = pick(m, at);
      assert.equal((await post(real, '/key/update', { key: key.token, ...fields })).status, 200);
      Object.assign(key, fields);
    },
    someKey,
  ),
);

const block = fc.record({ place, blocked: fc.boolean() }).map(({ place: at, blocked }) =>
  command(
    `${blocked ? 'block' : 'unblock'} key ${at}`,
    async (m, real) => {
      const key = pick(m, at);
      const answer = await post(real, `/key/${blocked ? 'block' : 'unblock'}`, { key: key.token });
      assert.equal(answer.status, 200);
      key.blocked = blocked;
    },
    someKey,
  ),
);

const remove = place.map((at) =>
  command(
    `delete key ${at}`,
    async (m, real) => {
      const { token } = pick(m, at);
      assert.equal((await post(real, '/key/delete', { keys: [token] })).status, 200);
      drop(m, (key) => key.token === token);
    },
    someKey,
  ),
);

const regenerate = place.map((at) =>
  command(
    `regenerate key ${at}`,
    async (m, real) => {
      const key = pick(m, at);
      const answer = await post(real, '/key/regenerate', { key: key.token });
      assert.equal(answer.status, 200, JSON.stringify(answer.body));
      m.gone.push(key.token);
      key.token = answer.body.token;
    },
    someKey,
  ),
);

const openTeam = fc.record({ team: name('team'), rpm_limit: rate }).map(({ team, rpm_limit }) =>
  command(`open ${team}`, async (m, real) => {
    const id = own(real, team)!;
    const { status } = await post(real, '/team/new', { team_id: id, rpm_limit });
    if (m.teams.has(id)) return assert.equal(status, 400);
    assert.equal(status, 200);
    m.teams.set(id, { alias: id, blocked: false, open: true, rpm_limit, members: new Set() });
  }),
);

const changeTeam = fc
  .record({ team: name('team'), team_alias: name('alias'), rpm_limit: rate })
  .map(({ team, ...fields }) =>
    command(`change ${team} ${JSON.stringify(fields)}`, async (m, real) => {
      const id = own(real, team)!;
      const { status } = await post(real, '/team/update', { team_id: id, ...fields });
      const known = m.teams.get(id);
      if (known?.open !== true) return assert.equal(status, 404);
      assert.equal(status, 200);
      Object.assign(known, { alias: fields.team_alias, rpm_limit: fields.rpm_limit });
    }),
  );

const blockTeam = fc.record({ team: name('team'), blocked: fc.boolean() }).map(({ team, blocked }) =>
  command(`${blocked ? 'block' : 'unblock'} ${team}`, async (m, real) => {
    const id = own(real, team)!;
    const { status } = await post(real, `/team/${blocked ? 'block' : 'unblock'}`, { team_id: id });
    const known = m.teams.get(id);
    if (known?.open !== true) return assert.equal(status, 404);
    assert.equal(status, 200);
    known.blocked = blocked;
  }),
);

const closeTeam = name('team').map((team) =>
  command(`close ${team}`, async (m, real) => {
    const id = own(real, team)!;
    const { status } = await post(real, '/team/delete', { team_ids: [id] });
    const known = m.teams.get(id);
    if (known?.open !== true) return assert.equal(status, 404);
    assert.equal(status, 200);
    known.open = false;
    known.members.clear();
    drop(m, (key) => key.team === id);
  }),
);

const member = fc.record({ team: name('team'), user: name('user'), joins: fc.boolean() }).map((who) =>
  command(`${who.user} ${who.joins ? 'joins' : 'leaves'} ${who.team}`, async (m, real) => {
    const [team, user] = [own(real, who.team)!, own(real, who.user)!];
    const known = m.teams.get(team);
    const isIn = known?.members.has(user) === true;
    if (who.joins) {
      const body = { team_id: team, member: { user_id: user, role: 'user' } };
      const { status } = await post(real, '/team/member_add', body);
      if (known?.open !== true) return assert.equal(status, 404);
      // Whoever is unknown is registered on the way, also when the rest is refused.
      m.users.add(user);
      if (isIn) return assert.equal(status, 400);
      assert.equal(status, 200);
      known.members.add(user);
      return;
    }
    const { status } = await post(real, '/team/member_delete', { team_id: team, user_id: user });
    if (known?.open !== true || !isIn) return assert.equal(status, 400);
    assert.equal(status, 200);
    known.members.delete(user);
    drop(m, (key) => key.team === team && key.user === user);
  }),
);

const register = name('user').map((user) =>
  command(`register ${user}`, async (m, real) => {
    const id = own(real, user)!;
    const { status } = await post(real, '/user/new', { user_id: id, auto_create_key: false });
    if (m.users.has(id)) return assert.equal(status, 409);
    assert.equal(status, 200);
    m.users.add(id);
  }),
);

const forget = name('user').map((user) =>
  command(`forget ${user}`, async (m, real) => {
    const id = own(real, user)!;
    const { status } = await post(real, '/user/delete', { user_ids: [id] });
    if (!m.users.has(id)) return assert.equal(status, 404);
    assert.equal(status, 200);
    m.users.delete(id);
    for (const team of m.teams.values()) team.members.delete(id);
    drop(m, (key) => key.user === id);
  }),
);

const budget = fc
  .record({ budget: name('budget'), verb: fc.constantFrom('new', 'update', 'delete'), max_budget: amount })
  .map(({ budget: called, verb, max_budget }) =>
    command(`${verb} ${called} ${max_budget}`, async (m, real) => {
      const id = own(real, called)!;
      const body = verb === 'delete' ? { id } : { budget_id: id, max_budget };
      const { status } = await post(real, `/budget/${verb}`, body);
      if (m.budgets.has(id) === (verb === 'new'))
        return assert.ok([400, 404].includes(status), String(status));
      assert.equal(status, 200);
      if (verb === 'delete') m.budgets.delete(id);
      else m.budgets.set(id, max_budget);
    }),
  );

export const commands = [
  generate,
  generate,
  update,
  block,
  remove,
  regenerate,
  openTeam,
  openTeam,
  changeTeam,
  blockTeam,
  closeTeam,
  member,
  member,
  register,
  forget,
  budget,
];

function includes(actual: Answer['body'], expected: object): void {
  for (const [field, value] of Object.entries(expected)) assert.deepEqual(actual[field], value, field);
}

/** Everything that can be read says what the model says. */
export async function expectSame(m: Model, { admin, prefix }: Real): Promise<void> {
  for (const { token, alias, team, user, max_budget, rpm_limit, blocked } of m.keys) {
    const { body } = await admin.call({ url: `/key/info?key=${token}` });
    const shown = { key_alias: alias, team_id: team, user_id: user, max_budget, rpm_limit, blocked };
    includes(body.info, shown);
  }
  for (const token of m.gone) assert.equal((await admin.call({ url: `/key/info?key=${token}` })).status, 404);
  for (const [id, { open, alias, blocked, rpm_limit, members }] of m.teams) {
    const { status, body } = await admin.call({ url: `/team/info?team_id=${id}` });
    if (!open) {
      assert.equal(status, 404, id);
      continue;
    }
    includes(body.team_info, { team_alias: alias, blocked, rpm_limit });
    assert.deepEqual(body.team_info.members.toSorted(), [...members].toSorted(), id);
    const ids = m.keys.filter((key) => key.team === id).map((key) => key.id);
    assert.deepEqual(body.keys.map((key: { key_id: string }) => key.key_id).toSorted(), ids.toSorted(), id);
  }
  for (const id of ['user-a', 'user-b', 'user-c'].map((one) => `${prefix}-${one}`)) {
    const { status, body } = await admin.call({ url: `/user/info?user_id=${id}` });
    assert.equal(status, m.users.has(id) ? 200 : 404, id);
    if (status !== 200) continue;
    const teams = [...m.teams].filter(([, { members }]) => members.has(id)).map(([team]) => team);
    assert.deepEqual(
      body.teams.map((team: { team_id: string }) => team.team_id).toSorted(),
      teams.toSorted(),
    );
    assert.equal(body.keys.length, m.keys.filter(({ user }) => user === id).length);
  }
  const { body } = await admin.call({ url: '/budget/list' });
  const budgets = body.filter((one: { budget_id: string }) => one.budget_id.startsWith(`${prefix}-`));
  assert.deepEqual(
    new Map(
      budgets.map((one: { budget_id: string; max_budget: number | null }) => [one.budget_id, one.max_budget]),
    ),
    m.budgets,
  );
}
