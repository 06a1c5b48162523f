import { randomUUID } from 'node:crypto';
import fastify, { type FastifyInstance, type FastifyRequest } from 'fastify';
import { serializerCompiler, validatorCompiler } from 'fastify-type-provider-zod';
import { Refusal } from '../errors.ts';
import { agencyRoutes } from './agencies.ts';
import { agencySettingsRoutes } from './agency-settings.ts';
import { alertRoutes } from './alerts.ts';
import { answerError } from './answer-error.ts';
import { auditRoutes } from './audit.ts';
import { auditorRoutes } from './auditors.ts';
import { bundleRoutes } from './bundles.ts';
import { credentialRoutes } from './credentials.ts';
import { authenticate } from './authenticate.ts';
import { recordConsultation } from './consult.ts';
import { budgetRoutes } from './budgets.ts';
import { contractHistoryRoutes } from './contract-history.ts';
import { contractRoutes } from './contracts.ts';
import { consoleRoutes } from './console.ts';
import { customerRoutes } from './customers.ts';
import type { HttpDeps } from './deps.ts';
import { collectionRoutes } from './collection.ts';
import { bookkeepingRoutes } from './bookkeeping.ts';
import { healthRoutes } from './health.ts';
import { figureRoutes } from './figures.ts';
import { invoiceFileRoutes } from './invoice-files.ts';
import { invoiceLifeRoutes } from './invoice-life.ts';
import { invitationRoutes } from './invitations.ts';
import { invoicePreviewRoutes } from './invoice-preview.ts';
import { invoiceRoutes } from './invoices.ts';
import { keyBudgetRoutes } from './key-budgets.ts';
import { keyIssuer } from './issue-key.ts';
import { keyExtraRoutes } from './key-extras.ts';
import { keyLimitRoutes } from './key-limits.ts';
import { keyReadRoutes } from './key-reads.ts';
import { keyRoutes } from './keys.ts';
import { liveRoutes } from './live.ts';
import { marginRoutes } from './margin.ts';
import { metricsRoutes } from './metrics.ts';
import { modelReadRoutes } from './model-reads.ts';
import { modelRoutes } from './models.ts';
import { modelWriteRoutes } from './model-writes.ts';
import { organizationRoutes } from './organizations.ts';
import { describeApi, serveDescription } from './openapi.ts';
import { outboxRoutes } from './outbox.ts';
import { planRoutes } from './plans.ts';
import { projectRoutes } from './projects.ts';
import { depsWithin } from './row-scope.ts';
import { proxySettingsRoutes } from './proxy-settings.ts';
import { answerRepeats } from './repeats.ts';
import { routeTable } from './route-table.ts';
import { sessionRoutes } from './sessions.ts';
import { settleForRead, settleSpend } from './settle.ts';
import { spendRoutes } from './spend.ts';
import { tagActivityRoutes } from './tag-activity.ts';
import { tagRoutes } from './tags.ts';
import { teamMemberRoutes } from './team-members.ts';
import { teamReadRoutes } from './team-reads.ts';
import { teamRoutes } from './teams.ts';
import { tenantRoutes } from './tenants.ts';
import { usageRoutes } from './usage.ts';
import { userReadRoutes } from './user-reads.ts';
import { userRoutes } from './users.ts';
import { verificationRoutes } from './verification.ts';
import { problemsIn } from './wholesome.ts';

/**
 * The admin API. Every request goes the same way: id and headers, authentication, body, validation,
 * waiting for the read models, handler. Handlers have no `try`: whatever they throw becomes an
 * answer in answer-error.ts.
 */
export function createHttp(deps: HttpDeps): FastifyInstance {
  const app = fastify({
    logger: false,
    genReqId: () => randomUUID(),
    bodyLimit: deps.bodyBytesMax,
    trustProxy: deps.trustedProxies.length === 0 ? false : [...deps.trustedProxies],
    exposeHeadRoutes: true,
    forceCloseConnections: 'idle',
    frameworkErrors(error, request, reply) {
      void answerError(deps, error, request, reply);
    },
    ...(deps.serverFactory === undefined ? {} : { serverFactory: deps.serverFactory }),
  });
  app.setValidatorCompiler(validatorCompiler);
  app.setSerializerCompiler(serializerCompiler);
  app.setErrorHandler((error, request, reply) => answerError(deps, error, request, reply));
  readJsonOnly(app);
  addHooks(app, deps);
  answerRepeats(app, deps);
  const table = routeTable(app);
  app.setNotFoundHandler((request, reply) => {
    const path = request.url.split('?', 1)[0]!;
    const allowed = table.methodsFor(path);
    if (allowed.length === 0) throw new Refusal('route_not_found', { method: request.method, path });
    void reply.header('allow', allowed.join(', '));
    if (request.method === 'OPTIONS') return reply.status(204).send();
    throw new Refusal('method_not_allowed', { method: request.method, path, allowed: allowed.join(', ') });
  });
  describeApi(app, deps.version);
  const issuer = keyIssuer(deps);
  app.register(keyRoutes(deps, issuer));
  app.register(keyReadRoutes());
  app.register(keyExtraRoutes(deps, issuer));
  app.register(userRoutes(deps, issuer));
  app.register(userReadRoutes());
  app.register(invitationRoutes(deps));
  app.register(teamRoutes(deps));
  app.register(teamReadRoutes());
  app.register(teamMemberRoutes(deps));
  app.register(organizationRoutes(deps));
  app.register(customerRoutes(deps));
  app.register(budgetRoutes(deps, issuer));
  app.register(tagRoutes(deps));
  app.register(tagActivityRoutes());
  app.register(proxySettingsRoutes());
  app.register(spendRoutes(deps));
  app.register(modelRoutes());
  app.register(modelReadRoutes());
  app.register(modelWriteRoutes(deps));
  app.register(tenantRoutes(deps, issuer));
  app.register(contractRoutes(deps));
  app.register(contractHistoryRoutes());
  app.register(projectRoutes(deps, issuer));
  app.register(planRoutes(deps));
  app.register(agencyRoutes(deps));
  app.register(agencySettingsRoutes(deps));
  app.register(invoiceRoutes(deps));
  app.register(invoicePreviewRoutes());
  app.register(marginRoutes());
  app.register(invoiceFileRoutes());
  app.register(invoiceLifeRoutes(deps));
  app.register(bookkeepingRoutes(deps));
  app.register(collectionRoutes(deps));
  app.register(outboxRoutes());
  app.register(alertRoutes(deps));
  app.register(auditRoutes(deps));
  app.register(auditorRoutes(deps));
  app.register(bundleRoutes(deps));
  app.register(credentialRoutes(deps, issuer));
  app.register(verificationRoutes(deps));
  app.register(sessionRoutes(deps));
  app.register(figureRoutes());
  app.register(usageRoutes());
  app.register(keyLimitRoutes());
  app.register(keyBudgetRoutes());
  app.register(liveRoutes(deps));
  const { consoleDir } = deps;
  if (consoleDir !== null)
    app.register((routes, _options, done) => {
      consoleRoutes(routes, consoleDir);
      done();
    });
  app.register(healthRoutes(deps));
  app.register(metricsRoutes(deps));
  app.register((routes, _options, done) => {
    serveDescription(routes);
    done();
  });
  return app;
}

function addHooks(app: FastifyInstance, deps: HttpDeps): void {
  app.decorateRequest('caller', null);
  app.decorateRequest('bySession', false);
  app.decorateRequest('deps');
  app.addHook('onRequest', async (request, reply) => {
    request.deps = deps;
    void reply.headers({
      'x-request-id': request.id,
      'x-content-type-options': 'nosniff',
      'x-frame-options': 'DENY',
      'referrer-policy': 'no-referrer',
      'cache-control': 'no-store',
    });
    if (request.is404) return;
    await authenticate(deps, request);
    if (request.caller !== null) request.deps = depsWithin(deps, request.caller);
  });
  app.addHook('preValidation', async (request) => {
    const problems = [
      ...problemsIn('body', request.body),
      ...problemsIn('querystring', request.query),
      ...problemsIn('params', request.params),
    ];
    if (problems.length > 0) throw new Refusal('invalid_input', { problems: problems.join('; ') });
  });
  app.addHook('preHandler', async (request) => {
    await recordConsultation(deps, request);
    if (concernsSpend(request)) await settleSpend(deps);
    if (readsModels(request)) await settleForRead(deps, (request.query as { after?: unknown }).after);
  });
}

/** Whatever it reads or decides, it knows what every request before it has spent. */
function concernsSpend(request: FastifyRequest): boolean {
  const { access, settles = true } = request.routeOptions.config;
  return settles && access !== 'public' && !request.is404;
}

/** Reads of the administrator and of keys; what is public tells nothing that anybody wrote. */
function readsModels(request: FastifyRequest): boolean {
  const { access, settles = true } = request.routeOptions.config;
  const reads = request.method === 'GET' || request.method === 'HEAD';
  return reads && settles && access !== 'public' && !request.is404;
}

declare module 'fastify' {
  interface FastifyContextConfig {
    /** False for reads that do not look at the read models. */
    settles?: boolean;
  }
}

/** `curl -d` without a header says it sends a form; scripts in the wild rely on that being read as JSON. */
const JSON_TYPES = ['application/json', 'application/x-www-form-urlencoded'];

function readJsonOnly(app: FastifyInstance): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser(JSON_TYPES, { parseAs: 'string' }, (_request, body, done) => {
    if (body.length === 0) return done(null, undefined);
    const text = body.toString();
    try {
      done(null, JSON.parse(text, refusePrototypes));
    } catch (error) {
      done(
        error instanceof Refusal ? error : new Refusal('malformed_json', { problem: problemOf(error) }),
        undefined,
      );
    }
  });
}

function refusePrototypes(name: string, value: unknown): unknown {
  if (name === '__proto__') throw new Refusal('malformed_json', { problem: 'a member is named __proto__' });
  return value;
}

/** Where it went wrong, without quoting the body: it may hold a secret. */
function problemOf(error: unknown): string {
  const position = error instanceof Error ? /at position (\d+)/.exec(error.message)?.[1] : undefined;
  return position === undefined ? 'it cannot be parsed' : `unexpected character at position ${position}`;
}
