import { sql } from 'kysely';
import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { Refusal } from '../errors.ts';
import type { App, DeploymentHealth, HttpDeps } from './deps.ts';
import { OutboxFactsShown } from './outbox.ts';
import { refusalAnswers } from './schemas.ts';

/** The release of LiteLLM whose API this one follows; some clients look at it. */
const LITELLM_VERSION = '1.104.0';

/** A probe that waits longer than this has its answer. */
const PING_MS_MAX = 2_000;

const Readiness = z.object({
  status: z.enum(['healthy', 'unhealthy']),
  db: z.enum(['connected', 'Not connected']),
  cache: z.null(),
  litellm_version: z.string(),
  version: z.string(),
  success_callbacks: z.array(z.string()),
  position: z.string().describe('Newest position of the log'),
  key_table_age_seconds: z
    .number()
    .nullable()
    .describe('How long ago the gateway was last known to know every key; it refuses from 5 s on'),
  projections: z.array(
    z.object({
      name: z.string(),
      position: z.string(),
      lag: z.number().describe('Positions behind the log; in PostgreSQL each is one event'),
      error: z.string().nullable().describe('Why it stopped; null while it runs'),
    }),
  ),
});

/** Each process keeps its own view: they tell each other of cooldowns, and of nothing else. */
const Deployment = z.object({
  model: z.string(),
  model_id: z.string(),
  error: z.string().nullable(),
  latency_ms: z
    .number()
    .nullable()
    .describe(
      'Until an answer begins, newer ones counting more, as the process that is asked has measured it; null before its first',
    ),
  cooldown_seconds: z
    .number()
    .nullable()
    .describe(
      'How long it is still left alone after failures, as the process that is asked knows it; null when it is not',
    ),
});

export function healthRoutes(deps: HttpDeps): FastifyPluginCallbackZod {
  return (app, _options, done) => {
    livenessRoutes(app);
    readinessRoute(app, deps);
    deploymentsRoute(app, deps);
    backlogRoute(app, deps);
    servicesRoute(app, deps);
    done();
  };
}

function livenessRoutes(app: App): void {
  for (const url of ['/health/liveliness', '/health/liveness'] as const) {
    const schema = {
      summary: 'Is the process alive?',
      tags: ['health'],
      response: { 200: z.string(), ...refusalAnswers },
    };
    app.get(url, { config: { access: 'public' }, schema }, () => "I'm alive!");
  }
}

function readinessRoute(app: App, deps: HttpDeps): void {
  app.get(
    '/health/readiness',
    {
      config: { access: 'public' },
      schema: {
        summary: 'Can the server do its work? 503 when the database is gone or a read model has stopped',
        tags: ['health'],
        response: { 200: Readiness, ...refusalAnswers, 503: Readiness },
      },
    },
    async (_request, reply) => {
      const connected = await isConnected(deps);
      const { head, projections, keyTableAgeMs } = deps.status();
      const healthy = connected && projections.every(({ error }) => error === null);
      return reply.status(healthy ? 200 : 503).send({
        status: healthy ? 'healthy' : 'unhealthy',
        db: connected ? 'connected' : 'Not connected',
        cache: null,
        litellm_version: LITELLM_VERSION,
        version: deps.version,
        success_callbacks: [],
        position: String(head),
        key_table_age_seconds: Number.isFinite(keyTableAgeMs) ? keyTableAgeMs / 1_000 : null,
        projections: projections.map(({ name, position, error }) => ({
          name,
          position: String(position),
          lag: Number(head > position ? head - position : 0n),
          error,
        })),
      });
    },
  );
}

function deploymentsRoute(app: App, deps: HttpDeps): void {
  app.get(
    '/health',
    {
      config: { settles: false },
      schema: {
        summary: 'The deployments as the gateway sees them; calls nobody',
        tags: ['health'],
        querystring: z.object({
          model: z.string().max(500).optional().describe('Of one public name'),
          model_id: z.string().max(500).optional(),
        }),
        response: {
          200: z.object({
            healthy_endpoints: z.array(Deployment),
            unhealthy_endpoints: z.array(Deployment),
            healthy_count: z.number(),
            unhealthy_count: z.number(),
          }),
          ...refusalAnswers,
        },
      },
    },
    ({ query: { model, model_id: modelId } }) => {
      const deployments = deps
        .status()
        .deployments.filter(
          ({ id, publicName }) => (model ?? publicName) === publicName && (modelId ?? id) === id,
        );
      const shown = (wanted: boolean) =>
        deployments.filter(({ healthy }) => healthy === wanted).map(shownHealth);
      const [healthy, unhealthy] = [shown(true), shown(false)];
      return {
        healthy_endpoints: healthy,
        unhealthy_endpoints: unhealthy,
        healthy_count: healthy.length,
        unhealthy_count: unhealthy.length,
      };
    },
  );
}

function shownHealth(one: DeploymentHealth): z.output<typeof Deployment> {
  const { id, publicName, problem, latencyMs, cooldownMs } = one;
  return {
    model: publicName,
    model_id: id,
    error: problem,
    latency_ms: latencyMs === null ? null : Math.round(latencyMs),
    cooldown_seconds: cooldownMs === null ? null : Math.ceil(cooldownMs / 1_000),
  };
}

function backlogRoute(app: App, deps: HttpDeps): void {
  app.get(
    '/health/backlog',
    {
      config: { settles: false },
      schema: {
        summary: 'What is under way: requests that the gateway is serving, and what waits to be done outside',
        tags: ['health'],
        response: {
          200: z.object({ in_flight_requests: z.number(), outbox: OutboxFactsShown }),
          ...refusalAnswers,
        },
      },
    },
    async () => {
      const { oldestAt, ...counts } = await deps.collection.outboxFacts();
      return { in_flight_requests: deps.status().inFlight, outbox: { ...counts, oldest_at: oldestAt } };
    },
  );
}

/** LiteLLM's way to try alerts out: a GET that sends. */
function servicesRoute(app: App, deps: HttpDeps): void {
  app.get(
    '/health/services',
    {
      schema: {
        summary: 'Send a test to every target of the own agency on a channel, and say what came of it',
        tags: ['health'],
        querystring: z.object({ service: z.string().min(1).max(50).describe('webhook or email') }),
        response: {
          200: z.object({
            status: z.enum(['success', 'failure']),
            message: z.string(),
            targets: z.array(z.object({ id: z.string(), ok: z.boolean(), detail: z.string() })),
          }),
          ...refusalAnswers,
        },
      },
    },
    async ({ query: { service } }) => {
      const { agencyId } = deps.ownTenant;
      const chosen = (await deps.alerts.list(agencyId)).filter(({ channel }) => channel === service);
      if (chosen.length === 0) {
        const problem = `No alert target of the channel ${service}: add one with POST /api/agencies/${agencyId}/alerts.`;
        throw new Refusal('bad_request', { problem }, { param: 'service' });
      }
      const targets = await Promise.all(
        chosen.map(async ({ id }) => {
          const { ok, detail } = await deps.alerts.test(agencyId, id);
          return { id, ok, detail };
        }),
      );
      const reached = targets.filter(({ ok }) => ok).length;
      return {
        status: reached === targets.length ? ('success' as const) : ('failure' as const),
        message: `${reached} of ${targets.length} reached`,
        targets,
      };
    },
  );
}

async function isConnected(deps: HttpDeps): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), PING_MS_MAX);
  });
  const ping = sql`select 1`.execute(deps.db).then(
    () => true,
    () => false,
  );
  try {
    return await Promise.race([ping, late]);
  } finally {
    clearTimeout(timer);
  }
}
