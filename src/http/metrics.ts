import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { exposition, METRICS_CONTENT_TYPE } from '../metrics.ts';
import type { HttpDeps } from './deps.ts';
import { refusalAnswers } from './schemas.ts';

/**
 * For Prometheus. Public like /health/readiness, so that no scraper has to hold the master key: it
 * tells counts, ages and positions, and of nobody. Keep it from the outside where even those are secret.
 */
export function metricsRoutes(deps: HttpDeps): FastifyPluginCallbackZod {
  return (app, _options, done) => {
    app.get(
      '/metrics',
      {
        config: { access: 'public' },
        schema: {
          summary: 'Measured values in the text format of Prometheus',
          tags: ['health'],
          response: { 200: z.string(), ...refusalAnswers },
        },
      },
      (_request, reply) => {
        void reply.type(METRICS_CONTENT_TYPE);
        return exposition(deps.metrics());
      },
    );
    done();
  };
}
