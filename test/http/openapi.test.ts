import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Admin, startAdmin } from '../support/admin.ts';

interface Operation {
  readonly summary?: string;
  readonly tags?: readonly string[];
  readonly security?: readonly object[];
  readonly responses: Readonly<
    Record<string, { readonly content?: Readonly<Record<string, { readonly schema?: object }>> }>
  >;
}
interface Description {
  readonly openapi: string;
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, unknown>> };
}

let admin: Admin;
let description: Description;

beforeAll(async () => {
  admin = await startAdmin();
  description = (await admin.call({ url: '/openapi.json', bearer: null })).body as Description;
});
afterAll(() => admin?.close());

const operations = () =>
  Object.entries(description.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({
      name: `${method.toUpperCase()} ${path}`,
      operation,
    })),
  );

describe('the description of the API', () => {
  test('has every route that is registered, but for those of Swagger UI', () => {
    const described = new Set(operations().map(({ name }) => name));
    const registered = admin.app.routeTable.routes.filter(
      ({ method, hidden }) => method !== 'HEAD' && !hidden,
    );
    const spelled = registered.map(
      ({ method, url }) => `${method} ${url.replaceAll(/:(\w+)/g, '{$1}').replace('*', '{*}')}`,
    );
    expect(spelled.filter((name) => !described.has(name))).toEqual([]);
    expect(spelled.length).toBeGreaterThan(30);
    const hidden = admin.app.routeTable.routes.filter((route) => route.hidden).map(({ url }) => url);
    expect(hidden.every((url) => /^\/($|static|json$|yaml$)/.test(url))).toBe(true);
  });

  test('says of every route what it does, whom it serves, and what it answers, errors too', () => {
    for (const { name, operation } of operations()) {
      expect(operation.summary, name).toMatch(/\w/);
      expect(operation.tags, name).toHaveLength(1);
      expect(Array.isArray(operation.security), name).toBe(true);
      const codes = Object.keys(operation.responses);
      expect(
        codes.some((code) => /^[23]/.test(code)),
        name,
      ).toBe(true);
      for (const code of ['401', '422', '500', '503']) expect(codes, name).toContain(code);
      for (const [code, { content }] of Object.entries(operation.responses)) {
        expect(Object.values(content ?? {})[0]?.schema, `${name} ${code}`).toBeTypeOf('object');
      }
    }
  });

  test('asks for a key everywhere but on the public routes', () => {
    const open = operations().filter(({ operation }) => operation.security!.length === 0);
    expect(open.map(({ name }) => name).toSorted()).toEqual([
      'DELETE /api/session',
      'GET /.well-known/litellm-ui-config',
      'GET /api/audit/public-key',
      'GET /api/downloads/{id}/{file}',
      'GET /api/payments/{id}',
      'GET /health/liveliness',
      'GET /health/liveness',
      'GET /health/readiness',
      'GET /metrics',
      'GET /openapi.json',
      'GET /routes',
      'GET /test',
      'POST /api/session',
      'POST /api/session/invitation',
      'POST /api/stripe/webhook/{agency}',
      'POST /invitation/update',
    ]);
  });

  test('includes the routes of the gateway', () => {
    expect(Object.keys(description.paths)).toEqual(
      expect.arrayContaining(['/v1/chat/completions', '/v1/embeddings', '/chat/completions', '/embeddings']),
    );
  });

  test('has no reference that leads nowhere', () => {
    const names = [...JSON.stringify(description).matchAll(/"\$ref":"([^"]+)"/g)].map(
      ([, target]) => target!,
    );
    const known = Object.keys(description.components.schemas).map((name) => `#/components/schemas/${name}`);
    expect([...new Set(names)].filter((name) => !known.includes(name))).toEqual([]);
    expect(description.openapi).toBe('3.1.0');
  });
});

describe('Swagger UI', () => {
  test('is at / and loads nothing from elsewhere', async () => {
    const page = await admin.call({ url: '/', bearer: null });
    expect(page.status).toBe(200);
    const html = String(page.body);
    const sources = [...html.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, source]) => source!);
    expect(sources.length).toBeGreaterThan(3);
    for (const source of sources) {
      expect(source).toMatch(/^\.\/static\//);
      const file = await admin.call({ url: source.slice(1), bearer: null });
      expect(file.status, source).toBe(200);
    }
    expect(page.headers['content-security-policy']).not.toContain('http');
    const initializer = await admin.call({ url: '/static/swagger-initializer.js', bearer: null });
    expect(String(initializer.body)).toContain("resolveUrl('./json')");
    expect((await admin.call({ url: '/json', bearer: null })).body).toEqual(description);
  });
});
