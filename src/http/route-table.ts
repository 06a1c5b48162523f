import type { FastifyInstance, RouteOptions } from 'fastify';
import { accessTo, type Role, type RouteAccess } from './route-roles.ts';

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
  /** Who may call it. */
  readonly roles: readonly Role[];
}

declare module 'fastify' {
  interface FastifyInstance {
    routeTable: RouteTable;
  }
  interface FastifyContextConfig {
    /** Who may call it, from route-roles.ts. Set for every route when it is registered. */
    allows?: RouteAccess;
  }
  interface FastifySchema {
    /** The same, for readers of the description. */
    'x-roles'?: readonly Role[];
  }
}

/** Register before any route: it sees only those that come after it. */
export function routeTable(app: FastifyInstance): RouteTable {
  const routes: Route[] = [];
  const patterns: { readonly method: string; readonly pattern: RegExp }[] = [];
  app.addHook('onRoute', (route) => {
    const hidden = route.schema?.hide === true;
    const { roles } = settleAccess(route, hidden);
    for (const method of [route.method].flat()) {
      routes.push({ method, url: route.url, hidden, roles });
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

/** Swagger UI's own routes come without a config; they are the documentation and public. */
function settleAccess(route: RouteOptions, hidden: boolean): RouteAccess {
  const said = route.config?.access ?? (hidden ? 'public' : undefined);
  const allows = accessTo([route.method].flat()[0]!, route.url, said);
  const isPublic = allows.roles.includes('public');
  route.config = { ...route.config, allows, ...(isPublic ? { access: 'public' } : {}) };
  if (route.schema !== undefined) {
    route.schema.security = isPublic ? [] : [{ bearer: [] }];
    route.schema['x-roles'] = allows.roles;
  }
  return allows;
}

function patternOf(url: string): RegExp {
  const source = url
    .replaceAll(/[.+?^${}()|[\]\\]/g, String.raw`\$&`)
    .replaceAll(/:\w+/g, '[^/]+')
    .replaceAll('*', '.*');
  return new RegExp(`^${source}$`);
}
