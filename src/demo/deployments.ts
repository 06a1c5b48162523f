import {
  type Deployment,
  MAX_OUTPUT_TOKENS_DEFAULT,
  UPSTREAM_TIMEOUT_MS_DEFAULT,
} from '../domain/deployment.ts';
import { rateFromPerToken } from '../domain/money.ts';

/** What the agency pays the simulated upstream, per token. */
const COSTS = {
  'demo-small': { input: '0.0000001', cached: '0.00000005', output: '0.0000004' },
  'demo-large': { input: '0.0000015', cached: '0.00000075', output: '0.000006' },
  'demo-embed': { input: '0.00000002', cached: '0.00000002', output: '0' },
} as const;

/** The simulated upstream's models, served under their own names. */
export function demoDeployments(baseUrl: string): readonly Deployment[] {
  return Object.entries(COSTS).map(([model, cost]) => ({
    id: `simulated/${model}`,
    publicName: model,
    upstreamModel: model,
    baseUrl: `${baseUrl}/v1`,
    apiKey: 'sk-simulated-upstream',
    maxOutputTokens: MAX_OUTPUT_TOKENS_DEFAULT,
    costRates: {
      input: rateFromPerToken(cost.input),
      'cached-input': rateFromPerToken(cost.cached),
      output: rateFromPerToken(cost.output),
    },
    weight: 1,
    timeoutMs: UPSTREAM_TIMEOUT_MS_DEFAULT,
    extraHeaders: {},
  }));
}
