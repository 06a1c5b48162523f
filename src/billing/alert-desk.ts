import { createHmac, randomBytes } from 'node:crypto';
import { alertSettings, type AlertSettingsCommand, type AlertTarget } from '../domain/alert-settings.ts';
import { Refusal } from '../errors.ts';
import { type CommandMeta, eventId, transact } from '../transact.ts';
import { type Address, deliver, type DeliveryDeps } from './alert-delivery.ts';
import { alertSettingsStream, targetsOf } from './alerts.ts';
import { keepSecret, secretOf } from './collection-deps.ts';
import { addressProblem } from './webhook.ts';

/** Everything that can be asked of alerts: what the API serves. Addresses and secrets stay sealed. */
type Given = Omit<AlertTarget, 'id' | 'addressVersion'>;

const SECRET_PREFIX = 'whsec_';
const EMAIL = /^[^\s@<>]+@[^\s@<>]+\.[^\s@<>]+$/;

export function alertDesk(deps: DeliveryDeps) {
  const { store, pool, alertHosts } = deps;
  const place = (agencyId: string) => alertSettingsStream(agencyId);
  const change = (agencyId: string, command: AlertSettingsCommand, meta: CommandMeta) =>
    transact(store, alertSettings, place(agencyId), command, meta);
  const keep = (agencyId: string, id: string, address: Address) =>
    keepSecret(deps, agencyId, `alert ${id}`, JSON.stringify(address));
  const addressOf = async (agencyId: string, id: string): Promise<Address | null> => {
    const sealed = await secretOf(deps, agencyId, `alert ${id}`);
    return sealed === null ? null : (JSON.parse(sealed) as Address);
  };
  const targetOf = async (agencyId: string, id: string): Promise<AlertTarget> => {
    const target = (await targetsOf(store, agencyId)).find((one) => one.id === id);
    if (target === undefined) throw new Refusal('not_found', { what: 'alert target' });
    return target;
  };
  const hasRun = async (agencyId: string, { commandId }: CommandMeta): Promise<boolean> => {
    const stream = place(agencyId);
    const id = eventId(stream, commandId, 0);
    for await (const recorded of store.readStream(stream)) if (recorded.id === id) return true;
    return false;
  };

  return {
    async list(agencyId: string) {
      const targets = await targetsOf(store, agencyId);
      return await Promise.all(
        targets.map(async (target) => ({
          ...target,
          address: shownAddress(target, await addressOf(agencyId, target.id).catch(() => null)),
          last: await newestTask(deps, target.id),
        })),
      );
    },
    /** The secret is in this answer and nowhere else; null for mail. */
    async add(agencyId: string, id: string, given: Given & { readonly address: string }, meta: CommandMeta) {
      const { address, ...target } = given;
      requireAddress(target.channel, address, alertHosts);
      const known = await addressOf(agencyId, id);
      const secret = known?.secret ?? newSigningSecret();
      if (known === null) await keep(agencyId, id, { address, secret });
      const { position } = await change(agencyId, { type: 'add', agencyId, id, target }, meta);
      return { position, secret: target.channel === 'webhook' ? secret : null };
    },
    async change(
      agencyId: string,
      id: string,
      given: Partial<Omit<Given, 'channel'>> & { readonly address?: string | undefined },
      meta: CommandMeta,
    ) {
      const { address, ...target } = given;
      const { channel } = await targetOf(agencyId, id);
      if (address !== undefined) {
        requireAddress(channel, address, alertHosts);
        const known = await addressOf(agencyId, id).catch(() => null);
        await keep(agencyId, id, { address, secret: known?.secret ?? newSigningSecret() });
      }
      const moved = address !== undefined;
      return await change(agencyId, { type: 'change', agencyId, id, target, moved }, meta);
    },
    async renewSecret(agencyId: string, id: string, meta: CommandMeta) {
      await targetOf(agencyId, id);
      const known = await addressOf(agencyId, id);
      if (known === null) throw new Refusal('secret_unreadable');
      // From the command, so that it is the same when the request comes twice, and kept by the first alone.
      const secret = signingSecretFor(deps.serverSecret, id, meta.commandId);
      if (!(await hasRun(agencyId, meta))) await keep(agencyId, id, { ...known, secret });
      const command = { type: 'change', agencyId, id, target: {}, moved: true } as const;
      const { position } = await change(agencyId, command, meta);
      return { position, secret };
    },
    async remove(agencyId: string, id: string, meta: CommandMeta) {
      const removed = await change(agencyId, { type: 'remove', agencyId, id }, meta);
      await pool.query('delete from agency_secrets where agency_id = $1 and name = $2', [
        agencyId,
        `alert ${id}`,
      ]);
      return removed;
    },
    /** Sends a message at once, past the outbox, so that whoever asks sees what came of it. */
    async test(agencyId: string, id: string) {
      const target = await targetOf(agencyId, id);
      const at = deps.now();
      const began = performance.now();
      const { kind, detail } = await deliver(deps, agencyId, target, {
        alertId: `test ${id} ${at}`,
        kind: 'test',
        tenantId: '',
        subject: { kind: 'server', id: 'keyledger' },
        facts: {},
        at,
      });
      return { ok: kind === 'accepted', detail, durationMs: Math.round(performance.now() - began) };
    },
  };
}

function newSigningSecret(): string {
  return `${SECRET_PREFIX}${randomBytes(32).toString('base64url')}`;
}

function signingSecretFor(serverSecret: string, targetId: string, commandId: string): string {
  const named = JSON.stringify(['signing secret', targetId, commandId]);
  return `${SECRET_PREFIX}${createHmac('sha256', serverSecret).update(named).digest('base64url')}`;
}

function requireAddress(
  channel: AlertTarget['channel'],
  address: string,
  allowedHosts: readonly string[],
): void {
  const problem =
    channel === 'webhook'
      ? addressProblem(address, allowedHosts)
      : EMAIL.test(address) && address.length <= 254
        ? null
        : 'is not an e-mail address';
  if (problem !== null)
    throw new Refusal('invalid_input', { problems: `address: ${problem}` }, { param: 'address' });
}

/** Of a webhook only the host: the rest of such an address is often a secret. */
function shownAddress({ channel }: AlertTarget, known: Address | null): string | null {
  if (known === null) return null;
  if (channel === 'email') return known.address;
  const { origin, pathname } = new URL(known.address);
  return pathname === '/' ? origin : `${origin}/…`;
}

async function newestTask({ pool }: DeliveryDeps, targetId: string) {
  const { rows } = await pool.query<{
    readonly status: string;
    readonly note: string | null;
    readonly created_at: string;
  }>(
    `select status, note, created_at from outbox_tasks
     where kind = 'alert' and starts_with(task_id, $1) order by created_at desc limit 1`,
    [`alert ${targetId} `],
  );
  const [row] = rows;
  return row === undefined ? null : { status: row.status, note: row.note, at: row.created_at };
}
