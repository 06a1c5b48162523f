import type { Server } from '../journeys/server.ts';
import type { Rates } from '../../src/domain/spend.ts';

/** Who calls in a run: tenants on plans of their own, each with keys, and what they must pay, by hand. */
export interface Plan {
  readonly name: string;
  /** Per 1,000,000 tokens, in euros. */
  readonly input: string;
  readonly cachedInput: string;
  readonly output: string;
  /** The same in nanos per token. */
  readonly rates: Rates;
}

export interface Customer {
  readonly keyId: string;
  readonly secret: string;
  readonly tenantId: string;
  /** Nanos per token. */
  readonly rates: Rates;
}

export const MODEL = 'demo-small';

export const PLANS: readonly Plan[] = [
  {
    name: 'chaos-one',
    input: '0.150',
    cachedInput: '0.075',
    output: '0.600',
    rates: { input: 150n, 'cached-input': 75n, output: 600n },
  },
  {
    name: 'chaos-two',
    input: '2.501',
    cachedInput: '1.250',
    output: '10.003',
    rates: { input: 2_501n, 'cached-input': 1_250n, output: 10_003n },
  },
];

/** So high that none refuses. */
const LIMITS =
  '{ requests_per_minute: 1000000000, tokens_per_minute: 1000000000, parallel_requests: 100000, models: [], budget: { amount: "1000000.00", window: 30d } }';

export function planFile({ name, input, cachedInput, output }: Plan): string {
  return `
name: ${name}
version: 1
title: Chaos
description: High limits of every kind
currency: EUR
monthly_fee: "0.00"
included_usage: "0.00"
prices:
  markup_percent: null
  models:
    ${MODEL}: { input: "${input}", cached_input: "${cachedInput}", output: "${output}" }
limits:
  production: ${LIMITS}
  staging: ${LIMITS}
tenant_limits: ${LIMITS}
`;
}

/** Two tenants per plan, each with a key per environment. */
export async function onboard(server: Server): Promise<readonly Customer[]> {
  const customers: Customer[] = [];
  for (const [n, plan] of [...PLANS, ...PLANS].entries()) {
    const { status, body } = await server.api<Onboarded>('POST', '/api/tenants', {
      name: `Kunde ${n} GmbH`,
      plan: plan.name,
      billing: {
        name: `Kunde ${n} GmbH`,
        street: 'Weg 1',
        postal_code: '10115',
        city: 'Berlin',
        country: 'DE',
        email: 'kunde@example.com',
      },
      projects: [{ name: 'shop', environments: ['production', 'staging'] }],
    });
    if (status >= 300) throw new Error(`onboarding answered ${status}: ${JSON.stringify(body)}`);
    for (const { id, secret } of body.projects.flatMap(({ keys }) => keys))
      customers.push({ keyId: id, secret, tenantId: body.tenant.id, rates: plan.rates });
  }
  return customers;
}

interface Onboarded {
  readonly tenant: { readonly id: string };
  readonly projects: readonly {
    readonly keys: readonly { readonly id: string; readonly secret: string }[];
  }[];
}
