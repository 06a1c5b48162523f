import type { FastifyInstance } from 'fastify';

/** Every route with its methods, so that a wrong method is told from an unknown path. */
export interface RouteTable {
  readonly routes: readonly Route[];
  /** Methods that some route takes for this path, [] when there is no such route. */
  methodsFor(path: string): readonly string[];
}

export interface Route {
  readonly method: string;
  /** As registered, such as `/api/tenants/:id`. */
  readonly url: string;
  /** Left out of the description of the API. */
  readonly hidden: boolean;
}

declare module 'fastify' {
  interface FastifyInstance {
    routeTable: RouteTable;
  }
}

/** Register before any route: it sees only those that come after it. */
export function routeTable(app: FastifyInstance): RouteTable {
  const routes: Route[] = [];
  const patterns: { readonly method: string; readonly pattern: RegExp }[] = [];
  app.addHook('onRoute', (route) => {
    for (const method of [route.method].flat()) {
      routes.push({ method, url: route.url, hidden: route.schema?.hide === true });
      patterns.push({ method, pattern: patternOf(route.url) });
    }
  });
  const table: RouteTable = {
    routes,
    methodsFor(path) {
      const methods = patterns.filter(({ pattern }) => pattern.test(path)).map(({ method }) => method);
      return [...new Set(methods)].toSorted();
    },
  };
  app.decorate('routeTable', table);
  return table;
}

function patternOf(url: string): RegExp {
  const source = url
    .replaceAll(/[.+?^${}()|[\]\\]/g, String.raw`\$&`)
    .replaceAll(/:\w+/g, '[^/]+')
    .replaceAll('*', '.*');
  return new RegExp(`^${source}$`);
}
