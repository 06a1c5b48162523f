import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { HealthProblem } from '../../src/billing/alert-conditions.ts';
import { alertTask, type DeliveryDeps } from '../../src/billing/alert-delivery.ts';
import { alertRounds } from '../../src/billing/alerts.ts';
import { billingRecords } from '../../src/billing/billing-records.ts';
import { fillOutbox, type OutboxDeps, workOutbox } from '../../src/billing/outbox.ts';
import { listTasks } from '../../src/billing/outbox-records.ts';
import { stripeCollector } from '../../src/billing/stripe.ts';
import { type Admin, OWN, startAdmin } from '../support/admin.ts';
import { newEvent, spendRecorded, uuid } from '../support/events.ts';
import { silent } from '../support/read-models.ts';

interface Received {
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: string;
}

let admin: Admin;
let server: Server;
let hook: string;
const received: Received[] = [];
let answer = 204;

beforeAll(async () => {
  server = createServer((request, response) => {
    let body = '';
    request.on('data', (bytes) => (body += String(bytes)));
    request.on('end', () => {
      received.push({ headers: request.headers, body });
      response.writeHead(answer, { location: 'http://127.0.0.1:1/elsewhere' }).end();
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  hook = `http://127.0.0.1:${(server.address() as AddressInfo).port}/hooks/top-secret`;
  admin = await startAdmin();
});
afterAll(async () => {
  server?.close();
  await admin?.close();
});
beforeEach(() => {
  received.length = 0;
  answer = 204;
});

const url = `/api/agencies/${OWN.agencyId}/alerts`;
const add = (body: object) => admin.call({ url, body });
const tryOut = (id: string) => admin.call({ url: `${url}/${id}/test`, body: {} });
const remove = (id: string) => admin.call({ method: 'DELETE', url: `${url}/${id}` });

describe('a target', () => {
  test('has its secret shown once, and its address and secret nowhere but sealed', async () => {
    const { status, body } = await add({ channel: 'webhook', address: hook, alerts: ['unhealthy'] });
    expect(status).toBe(200);
    expect(body.secret).toMatch(/^whsec_[\w-]{43}$/);
    const { data } = (await admin.call({ url })).body;
    expect(data).toMatchObject([{ id: body.id, channel: 'webhook', alerts: ['unhealthy'], active: true }]);
    expect(data[0].address).toBe(`${new URL(hook).origin}/…`);
    const dump = await Promise.all(
      ['events', 'agency_secrets', 'outbox_tasks'].map(
        async (table) => (await admin.pool.query(`select t::text from ${table} t`)).rows,
      ),
    );
    expect(JSON.stringify(dump)).not.toMatch(new RegExp(`top-secret|${body.secret}`));
    await remove(body.id);
    expect((await admin.pool.query("select 1 from agency_secrets where name like 'alert %'")).rowCount).toBe(
      0,
    );
  });

  test('is tried with one message, signed so that the receiver can check it, and says what came of it', async () => {
    const { id, secret } = (await add({ channel: 'webhook', address: hook, language: 'de' })).body;
    expect((await tryOut(id)).body).toMatchObject({ ok: true, detail: 'answered 204' });
    expect((await admin.call({ url: '/health/services?service=webhook' })).body).toEqual({
      status: 'success',
      message: '1 of 1 reached',
      targets: [{ id, ok: true, detail: 'answered 204' }],
    });
    expect(received.splice(1)).toHaveLength(1);
    const none = await admin.call({ url: '/health/services?service=slack' });
    expect(none).toMatchObject({ status: 400, body: { error: { param: 'service' } } });
    const [{ headers, body }] = received as [Received];
    const [, at, mac] = /^t=(\d+),v1=([0-9a-f]{64})$/.exec(String(headers['x-keyledger-signature']))!;
    expect(mac).toBe(createHmac('sha256', secret).update(`${at}.${body}`).digest('hex'));
    expect(JSON.parse(body)).toMatchObject({ type: 'test', title: 'Dies ist ein Test', tenant_id: null });

    answer = 302;
    expect((await tryOut(id)).body).toMatchObject({ ok: false, detail: 'answered 302' });
    expect(received.length).toBe(2);
    const renewed = await admin.call({ url: `${url}/${id}/secret`, body: {} });
    expect(renewed.body.secret).not.toBe(secret);
    await remove(id);
    expect((await tryOut(id)).status).toBe(404);
  });

  test.each([
    ['plain http elsewhere', 'http://example.com/hook'],
    ['another kind of address', 'file:///etc/passwd'],
    ['a name and a password in it', 'https://user:pass@example.com/'],
  ])('with %s is refused', async (_, address) => {
    const refused = await add({ channel: 'webhook', address });
    expect(refused).toMatchObject({ status: 422, body: { error: { param: 'address' } } });
  });

  test('inside this network is not called, whatever its name resolves to', async () => {
    const { id } = (
      await add({ channel: 'webhook', address: hook.replace('http://127.0.0.1', 'https://localhost') })
    ).body;
    expect((await tryOut(id)).body).toMatchObject({
      ok: false,
      detail: expect.stringContaining('not a public address'),
    });
    expect(received).toEqual([]);
    await remove(id);
  });

  test('by mail says that there is no mail server', async () => {
    const { id, secret } = (await add({ channel: 'email', address: 'ops@agency.example' })).body;
    expect(secret).toBeNull();
    expect((await tryOut(id)).body).toMatchObject({ ok: false, detail: expect.stringContaining('SMTP_URL') });
    expect((await add({ channel: 'email', address: 'nobody' })).status).toBe(422);
    await remove(id);
  });
});

describe('alerts', () => {
  const health: HealthProblem[] = [];
  let delivery: DeliveryDeps;
  let outbox: OutboxDeps;
  let look: (now: string) => Promise<number>;
  beforeAll(() => {
    const { pool, store, db, deps } = admin;
    const shared = { pool, store, now: deps.now, log: silent };
    const database = { pool, db: db as never };
    delivery = {
      ...shared,
      db: db as never,
      records: billingRecords(database),
      newestContact: billingRecords(database).contact,
      serverSecret: deps.serverSecret,
      openCollector: stripeCollector('http://127.0.0.1:9'),
      sendMail: null,
      mailFrom: null,
      publicUrl: 'https://keys.example',
      alertHosts: ['127.0.0.1'],
    };
    outbox = { ...shared, work: (task) => alertTask(delivery, task) };
    look = alertRounds({ ...shared, db, health: () => health });
  });
  const types = () => received.map(({ body }) => (JSON.parse(body) as { type: string }).type).toSorted();

  test('go out once for what holds, again in a new window, and not to who does not want them', async () => {
    const { id } = (await add({ channel: 'webhook', address: hook })).body;
    const quiet = (await add({ channel: 'webhook', address: hook, alerts: ['invoice-run-failed'] })).body.id;
    const made = await admin.call({
      url: '/key/generate',
      body: { key_alias: 'near', max_budget: 1, budget_duration: '1mo', duration: '3d' },
    });
    const spend = async (name: string, at: string) => {
      const event = spendRecorded({
        keyId: made.body.key_id,
        priceNanos: 900_000_000n,
        admittedAt: at,
        month: at.slice(0, 7),
      });
      const envelope = {
        ...newEvent(event, name),
        id: uuid(name),
        agencyId: OWN.agencyId,
        tenantId: OWN.tenantId,
      };
      const { position } = await admin.store.append([
        { stream: `spend-${name}`, expected: 'none', events: [envelope] },
      ]);
      await admin.deps.settled(position);
    };
    await spend('first', '2026-11-20T09:00:00.000Z');
    health.push({ part: 'usage', problem: 'an event cannot be applied' });
    expect(await look(admin.deps.now())).toBe(3);
    expect(await look(admin.deps.now())).toBe(0);
    await workOutbox(outbox);
    expect(types()).toEqual(['budget-near', 'key-expiring', 'unhealthy']);
    const near = received.map(({ body }) => JSON.parse(body)).find(({ type }) => type === 'budget-near');
    expect(near).toMatchObject({
      title: 'Budget of near is nearly used',
      facts: { spent: '0.90', budget: '1.00', currency: 'EUR', percent: '90' },
      link: `https://keys.example/ui/keys/${made.body.key_id}`,
    });
    const { data } = (await admin.call({ url })).body;
    expect(data.find((one: { id: string }) => one.id === id).last).toMatchObject({ status: 'done' });

    health.length = 0;
    await spend('second', '2026-12-01T09:00:00.000Z');
    expect(await look('2026-12-01T10:00:00.000Z')).toBe(1);
    await remove(id);
    await remove(quiet);
    await workOutbox(outbox);
    const [newest] = await listTasks(admin.pool, { status: 'skipped', after: null, limit: 1 });
    expect(newest).toMatchObject({ kind: 'alert', note: 'the target is gone or off' });
  });

  test('of a failed payment follow from its event; a receiver that fails is tried again, one that is gone is not', async () => {
    const { id } = (await add({ channel: 'webhook', address: hook, alerts: ['payment-failed'] })).body;
    await fillOutbox(outbox);
    const failed = {
      type: 'invoice.payment-failed',
      data: { invoiceId: 'inv_9', method: 'card', reference: null, reason: 'card_declined' },
    } as const;
    const envelope = { ...newEvent(failed, 'failed'), agencyId: OWN.agencyId, tenantId: OWN.tenantId };
    await admin.store.append([{ stream: 'invoice-x', expected: 'none', events: [envelope] }]);
    await fillOutbox(outbox);
    await workOutbox(outbox);
    answer = 500;
    await workOutbox(outbox);
    const taskOf = async () =>
      (await listTasks(admin.pool, { status: null, after: null, limit: 100 })).find(({ taskId }) =>
        taskId.startsWith(`alert ${id}`),
      );
    expect(await taskOf()).toMatchObject({ status: 'waiting', attempts: 1, note: 'answered 500' });
    expect(JSON.parse(received.at(-1)!.body)).toMatchObject({
      type: 'payment-failed',
      text: 'card_declined',
      subject: { kind: 'invoice', id: 'inv_9' },
    });
    answer = 410;
    await admin.call({ url: '/api/outbox/retry', body: { task_id: (await taskOf())!.taskId } });
    await workOutbox(outbox);
    expect(await taskOf()).toMatchObject({ status: 'stopped', note: 'answered 410' });
    await remove(id);
  });
});
