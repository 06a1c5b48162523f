import type { Deployment } from '../../src/domain/deployment.ts';

/** A deployment of the model `m` that nothing is said of but what a test says. */
export function deploymentOf(id: string, said: Partial<Deployment> = {}): Deployment {
  return {
    id,
    publicName: 'm',
    upstreamModel: null,
    baseUrl: 'http://x',
    apiKey: null,
    maxOutputTokens: 1,
    costRates: null,
    weight: 1,
    timeoutMs: 1,
    extraHeaders: {},
    ...said,
  };
}
