import { request } from 'node:http';
import type { Server } from '../journeys/server.ts';

/**
 * Races of many requests for the same limits, over HTTP against the whole program, however many processes
 * it has: every request comes on a connection of its own, so that they are dealt out to all of them.
 */
const BODY = {
  model: 'demo-small',
  messages: [{ role: 'user', content: 'Hallo' }],
  max_tokens: 5,
  user: '',
};

export interface Limited {
  readonly secret: string;
  /** Whom requests name. */
  readonly endUser: string;
  /** What one request may cost at most, and does. */
  readonly costEur: number;
}

export interface RaceResult {
  readonly served: number;
  /** By status. */
  readonly statuses: Readonly<Record<number, number>>;
  /** What the books say that the key has spent, in what one request costs. */
  readonly spent: number;
  /** By how many processes they were served. */
  readonly processes: number;
}

let names = 0;

async function made<T>(server: Server, path: string, body: object): Promise<T> {
  const answer = await server.api<T>('POST', path, body);
  if (answer.status !== 200) throw new Error(`${path} answered ${answer.status}`);
  return answer.body;
}

/** A key, its project, its tenant and an end user, each with a budget for so many requests. */
export async function limitedTo(server: Server, paid: number): Promise<Limited> {
  names += 1;
  const probe = await made<{ key: string }>(server, '/key/generate', {});
  const { cost } = await ask(server.port, probe.key, 'nobody');
  const max_budget = Number((cost * paid).toFixed(9));
  const endUser = `racer-${names}-${Date.now()}`;
  const { organization_id } = await made<{ organization_id: string }>(server, '/organization/new', {
    organization_alias: endUser,
    max_budget,
  });
  const { team_id } = await made<{ team_id: string }>(server, '/team/new', { organization_id, max_budget });
  await made(server, '/customer/new', { user_id: endUser, max_budget });
  const { key } = await made<{ key: string }>(server, '/key/generate', { team_id, max_budget });
  return { secret: key, endUser, costEur: cost };
}

/** All at once. */
export async function race(server: Server, limited: Limited, requests: number): Promise<RaceResult> {
  const answers = await Promise.all(
    Array.from({ length: requests }, () => ask(server.port, limited.secret, limited.endUser)),
  );
  const statuses: Record<number, number> = {};
  const tags = new Set<string>();
  for (const { status, callId } of answers) {
    statuses[status] = (statuses[status] ?? 0) + 1;
    if (status === 200) tags.add(callId.slice(0, 8));
  }
  const { body } = await server.api<{ info: { spend: number } }>(
    'GET',
    `/key/info?key=${encodeURIComponent(limited.secret)}`,
  );
  const spent = Math.round((body.info.spend / limited.costEur) * 1_000) / 1_000;
  return { served: statuses[200] ?? 0, statuses, spent, processes: tags.size };
}

interface Asked {
  readonly status: number;
  readonly cost: number;
  /** It begins with the tag of the process. */
  readonly callId: string;
}

export function ask(port: number, secret: string, user: string): Promise<Asked> {
  return new Promise((resolve, reject) => {
    const call = request({
      port,
      host: '127.0.0.1',
      agent: false,
      method: 'POST',
      path: '/v1/chat/completions',
      headers: { authorization: `Bearer ${secret}`, 'content-type': 'application/json' },
    });
    call.on('error', reject);
    call.on('response', (response) => {
      response.resume();
      response.on('error', reject);
      response.on('end', () =>
        resolve({
          status: response.statusCode!,
          cost: Number(response.headers['x-litellm-response-cost'] ?? 0),
          callId: String(response.headers['x-litellm-call-id']),
        }),
      );
    });
    call.end(JSON.stringify({ ...BODY, user }));
  });
}
