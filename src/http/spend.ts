import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { dailyActivityRoutes } from './daily-activity.ts';
import type { HttpDeps } from './deps.ts';
import { globalReportRoutes } from './global-reports.ts';
import { globalSpendRoutes } from './global-spend.ts';
import { spendListRoutes } from './spend-lists.ts';
import { spendLogRoutes } from './spend-logs.ts';
import { spendPriceRoutes } from './spend-price.ts';
import { spendResetRoute } from './spend-reset.ts';

/** All routes about what was spent. */
export function spendRoutes(deps: HttpDeps): FastifyPluginCallbackZod {
  return (app, _options, done) => {
    app.register(spendLogRoutes());
    app.register(spendListRoutes());
    app.register(dailyActivityRoutes());
    app.register(globalSpendRoutes());
    app.register(globalReportRoutes(deps));
    app.register(spendPriceRoutes());
    app.register(spendResetRoute(deps));
    done();
  };
}
