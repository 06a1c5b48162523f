import swagger from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import type { FastifyInstance } from 'fastify';
import { jsonSchemaTransform, jsonSchemaTransformObject } from 'fastify-type-provider-zod';
import { gatewayPaths } from './openapi-gateway.ts';
import { AnyJson, refusalAnswers } from './schemas.ts';

/** The name, for the bar at the top. */
const LOGO =
  '<svg xmlns="http://www.w3.org/2000/svg" width="150" height="32" role="img" aria-label="Keyledger">' +
  '<text x="0" y="23" fill="#fff" font-family="sans-serif" font-size="22" font-weight="600">Keyledger</text></svg>';

/**
 * The description of the API at /openapi.json and Swagger UI at /. It is made from the schemas that
 * the routes validate with; the gateway's routes, which do not pass through here, are added as
 * they are written down in openapi-gateway.ts.
 */
const DESCRIPTION = `Virtual keys, tenants, projects, contracts and invoices over an OpenAI-compatible endpoint.

Routes under \`/key\`, \`/user\`, \`/team\`, \`/organization\`, \`/customer\`, \`/budget\`, \`/tag\` and \`/v1/models\` have the shape of LiteLLM's, with amounts as JSON numbers. The
product's own resources live under \`/api\`: snake_case, lists as \`{data, next_cursor}\`, amounts as decimal strings
with their currency, instants in UTC.

Every write takes an \`Idempotency-Key\` and answers with \`x-keyledger-position\`; a read shows everything written
before it, and \`?after=<position>\` asks another server for the same.`;

const TAGS = [
  { name: 'keys', description: 'Virtual keys' },
  { name: 'teams', description: 'Projects in the shape of LiteLLM teams' },
  { name: 'users', description: 'People, their roles and invitations' },
  { name: 'organizations', description: 'Tenants in the shape of LiteLLM organizations' },
  { name: 'customers', description: 'End users, whom the apps of a tenant name in `user`' },
  { name: 'budgets', description: 'Limits under a name that others can share' },
  { name: 'tags', description: 'Words that requests carry' },
  { name: 'models', description: 'What a key can call' },
  { name: 'gateway', description: 'OpenAI-compatible calls' },
  { name: 'tenants', description: 'Customers, their contracts and their keys' },
  { name: 'projects', description: 'Client projects of a tenant' },
  { name: 'plans', description: 'Tiers that can be signed' },
  { name: 'agencies', description: 'Who issues the invoices' },
  { name: 'invoices', description: 'Monthly invoices' },
  { name: 'audit', description: 'Histories replayed from the log' },
  { name: 'usage', description: 'What was used' },
  { name: 'credentials', description: 'Secrets of programs that use this API' },
  { name: 'sessions', description: 'Signing in to the console' },
  { name: 'health', description: 'State of this server' },
];

/** Nothing from elsewhere; Swagger UI styles its elements inline. */
const CONTENT_SECURITY_POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; " +
  "font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/** Register before any route: it sees only those that come after it. */
export function describeApi(app: FastifyInstance, version: string): void {
  app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: { title: 'Keyledger', version, description: DESCRIPTION },
      tags: TAGS,
      components: {
        securitySchemes: {
          bearer: {
            type: 'http',
            scheme: 'bearer',
            description: 'The master key, or a virtual key where the route takes one',
          },
        },
      },
    },
    transform: jsonSchemaTransform,
    transformObject: (document) => {
      const described = jsonSchemaTransformObject(document);
      return { ...described, paths: { ...described.paths, ...gatewayPaths } };
    },
  });
  app.register(swaggerUi, {
    routePrefix: '/',
    staticCSP: CONTENT_SECURITY_POLICY,
    uiConfig: { docExpansion: 'none', persistAuthorization: false, tryItOutEnabled: true },
    theme: { title: 'Keyledger API' },
    logo: { type: 'image/svg+xml', content: Buffer.from(LOGO), href: '/', target: '_self' },
  });
}

/** Register after the routes. */
export function serveDescription(app: FastifyInstance): void {
  const schema = {
    summary: 'This description',
    tags: ['health'],
    response: { 200: AnyJson.describe('OpenAPI 3.1'), ...refusalAnswers },
  };
  app.get('/openapi.json', { config: { access: 'public' }, schema }, () => app.swagger());
}
