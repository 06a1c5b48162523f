import { setImmediate as turn } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createLiveHub, type Listener } from '../../src/http/live-hub.ts';
import type { LiveTopic } from '../../src/http/live-topics.ts';
import { memoryStore } from '../../src/store/memory.ts';
import { type Admin, startAdmin } from '../support/admin.ts';
import { keyBlocked, newEvent, planPublished } from '../support/events.ts';
import { people, type People } from '../support/people.ts';

let admin: Admin;
let who: People;
let url: string;
beforeAll(async () => {
  admin = await startAdmin();
  who = await people(admin);
  url = await admin.app.listen({ port: 0, host: '127.0.0.1' });
});
afterAll(async () => {
  admin?.app.server.closeAllConnections();
  await admin?.close();
});

interface Stream {
  readonly response: Response;
  /** The next event that is no comment; null at the end. */
  next(): Promise<{ readonly name: string; readonly topics: readonly string[] } | null>;
  leave(): void;
}

async function listen(headers: Record<string, string>): Promise<Stream> {
  const leaving = new AbortController();
  const response = await fetch(`${url}/api/live`, {
    headers: { accept: 'text/event-stream', ...headers },
    signal: leaving.signal,
  });
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  return {
    response,
    async next() {
      for (;;) {
        const end = text.indexOf('\n\n');
        const block = text.slice(0, Math.max(end, 0));
        if (end >= 0) text = text.slice(end + 2);
        const name = /^event: (.*)$/m.exec(block)?.[1];
        if (name !== undefined) {
          const data = JSON.parse(/^data: (.*)$/m.exec(block)![1]!) as { topics?: string[] };
          return { name, topics: data.topics ?? [] };
        }
        if (end >= 0) continue;
        const { done, value } = await reader.read();
        if (done) return null;
        text += value;
      }
    },
    leave: () => leaving.abort(),
  };
}

const bearer = (person: keyof People['keys']) => ({ authorization: `Bearer ${who.keys[person]}` });
const onboard = (name: string) =>
  admin.call({
    url: '/api/tenants',
    body: {
      name,
      plan: 'studio',
      billing: { name, street: 's 1', postal_code: '1', city: 'c', country: 'DE', email: 'k@k.example' },
    },
  });

test('the agency hears of every change once it can be read, and whoever leads a tenant of theirs alone', async () => {
  const agency = await listen(bearer('proxy_admin_viewer'));
  const lead = await listen(bearer('org_admin'));
  expect(agency.response.headers.get('content-type')).toContain('text/event-stream');
  expect(await agency.next()).toEqual({ name: 'ready', topics: [] });
  expect(await lead.next()).toEqual({ name: 'ready', topics: [] });
  await onboard('Anders');
  expect((await agency.next())?.topics).toContain('tenants');
  const made = await admin.call({ url: '/key/generate', body: { team_id: 'team-people' } });
  expect(made.status).toBe(200);
  expect(await lead.next()).toEqual({ name: 'changed', topics: ['keys'] });
  agency.leave();
  lead.leave();
});

test('nobody listens without a user, or without knowing that it is a stream', async () => {
  expect((await listen({})).response.status).toBe(401);
  expect((await listen(bearer('key'))).response.status).toBe(401);
  // Nor somebody who would wait for its end.
  expect((await listen({ ...bearer('org_admin'), accept: '*/*' })).response.status).toBe(400);
});

test('a stream ends soon after its session', async () => {
  const { headers } = await admin.call({
    url: '/api/session',
    body: { username: 'admin', password: 'a password of the tests' },
    bearer: null,
    headers: { 'x-keyledger-console': '1' },
  });
  const cookie = String(headers['set-cookie']).split(';')[0]!;
  const stream = await listen({ cookie });
  expect(await stream.next()).toEqual({ name: 'ready', topics: [] });
  await admin.call({
    method: 'DELETE',
    url: '/api/sessions',
    bearer: null,
    headers: { cookie, 'x-keyledger-console': '1' },
  });
  expect((await stream.next())?.name).toBe('ended');
  expect(await stream.next()).toBeNull();
});

describe('the hub', () => {
  const all = { all: true, tenants: [], projects: [], userId: null };
  const quiet = { warn: () => undefined };
  const until = async (holds: () => boolean) => {
    while (!holds()) await turn();
  };

  function start(marks: () => Partial<Record<LiveTopic, string>> = () => ({})) {
    const store = memoryStore({ now: () => '2026-11-20T10:00:00.000Z' });
    const hub = createLiveHub({
      store,
      settled: () => Promise.resolve(),
      marks: () => Promise.resolve(marks()),
      log: quiet,
      gapMs: 0,
    });
    return { store, hub };
  }

  function listener(name: string): Listener & {
    readonly told: (readonly LiveTopic[])[];
    takes: boolean;
    tries: number;
    ended: boolean;
  } {
    return {
      name,
      told: [],
      takes: true,
      tries: 0,
      ended: false,
      insight: () => all,
      tell(topics) {
        this.tries += 1;
        if (this.takes) this.told.push(topics);
        return this.takes;
      },
      end() {
        this.ended = true;
      },
    };
  }

  test('keeps one set of topics for whoever takes nothing, and tells it once they do', async () => {
    const { store, hub } = start();
    const slow = listener('slow');
    slow.takes = false;
    const listening = hub.open(slow)!;
    await listening.ready;
    await store.append([
      { stream: 'plan-studio', expected: 'none', events: [newEvent(planPublished(), 'plan')] },
    ]);
    await until(() => slow.tries > 0);
    await store.append([{ stream: 'key-1', expected: 'none', events: [newEvent(keyBlocked(), 'blocked')] }]);
    await until(() => slow.tries > 1);
    slow.takes = true;
    listening.wake();
    await until(() => slow.told.length > 0);
    expect(slow.told).toEqual([['plans', 'keys']]);
    await hub.close();
    expect(slow.ended).toBe(true);
  });

  test('takes so many of one user and no more, and none when it is closed', async () => {
    const { hub } = start();
    const open = Array.from({ length: 16 }, () => hub.open(listener('one')));
    expect(open.every((one) => one !== null)).toBe(true);
    expect(hub.open(listener('one'))).toBeNull();
    expect(hub.open(listener('another'))).not.toBeNull();
    open[0]!.close();
    expect(hub.open(listener('one'))).not.toBeNull();
    await hub.close();
    expect(hub.open(listener('late'))).toBeNull();
  });
});
