import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { Refusal } from '../errors.ts';
import type { App } from './deps.ts';
import { After, AnyJson, refusalAnswers } from './schemas.ts';

/** What LiteLLM's clients ask about the proxy itself. */
const route = (summary: string) => ({ summary, tags: ['health'] });

export function proxySettingsRoutes(): FastifyPluginCallbackZod {
  return (app, _options, done) => {
    for (const name of ['cost_discount_config', 'cost_margin_config']) priceRoutes(app, name);
    callbackRoutes(app);
    publicRoutes(app);
    done();
  };
}

/** Discounts and margins are terms of plans and contracts here, for each tenant; there are none for everybody. */
function priceRoutes(app: App, name: string): void {
  app.get(
    `/config/${name}`,
    {
      schema: {
        ...route('Discounts or margins of the whole proxy: there are none, prices follow from plans'),
        querystring: After,
        response: { 200: z.object({ values: AnyJson }), ...refusalAnswers },
      },
    },
    () => ({ values: {} }),
  );
  app.patch(
    `/config/${name}`,
    {
      schema: {
        ...route('Refused: change a plan or a contract'),
        body: AnyJson,
        response: { 200: z.object({ values: AnyJson }), ...refusalAnswers },
      },
    },
    () => {
      const problem =
        'Prices follow from plans and contracts: raise the markup or the prices of a plan, or agree them with a tenant.';
      throw new Refusal('bad_request', { problem }, { param: name });
    },
  );
}

function callbackRoutes(app: App): void {
  for (const url of ['/active/callbacks', '/settings'] as const) {
    app.get(
      url,
      {
        schema: {
          ...route('What else hears of requests: nothing'),
          querystring: After,
          response: {
            200: z.object({ num_callbacks: z.number(), all_litellm_callbacks: z.array(z.string()) }),
            ...refusalAnswers,
          },
        },
      },
      () => ({ num_callbacks: 0, all_litellm_callbacks: [] }),
    );
  }
}

function publicRoutes(app: App): void {
  app.get(
    '/routes',
    {
      schema: {
        ...route('List the routes of this server'),
        response: {
          200: z.object({ routes: z.array(z.object({ path: z.string(), methods: z.array(z.string()) })) }),
          ...refusalAnswers,
        },
      },
    },
    () => {
      const byPath = new Map<string, string[]>();
      for (const { method, url, hidden } of app.routeTable.routes)
        if (!hidden) byPath.set(url, [...(byPath.get(url) ?? []), method]);
      return { routes: [...byPath].map(([path, methods]) => ({ path, methods })) };
    },
  );
  app.get(
    '/test',
    {
      schema: { ...route('Answers'), response: { 200: z.object({ route: z.string() }), ...refusalAnswers } },
    },
    () => ({ route: '/test' }),
  );
  app.get(
    '/.well-known/litellm-ui-config',
    {
      schema: {
        ...route('Where clients find the console'),
        response: {
          200: z.object({ server_root_path: z.string(), proxy_base_url: z.string().nullable() }),
          ...refusalAnswers,
        },
      },
    },
    () => ({ server_root_path: '/', proxy_base_url: null }),
  );
}
