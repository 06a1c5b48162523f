import type { Pool } from 'pg';
import type { Deployment } from '../domain/deployment.ts';

/** Which deployments are whose, kept for as long as the ledger: it knows requests by their deployment alone. */
export interface DeploymentProviders {
  isNoted(deployment: Deployment): boolean;
  /** Notes all that can be served now. */
  note(): Promise<void>;
}

export function deploymentProviders(pool: Pool, current: () => readonly Deployment[]): DeploymentProviders {
  const noted = new WeakSet<Deployment>();
  return {
    isNoted: (deployment) => noted.has(deployment),
    async note() {
      const fresh = current().filter((deployment) => !noted.has(deployment));
      const owned = fresh.filter(({ provider }) => provider !== undefined);
      if (owned.length > 0)
        await pool.query(
          `insert into deployment_providers (provider, deployment) select * from unnest($1::text[], $2::text[])
           on conflict do nothing`,
          [owned.map(({ provider }) => provider), owned.map(({ id }) => id)],
        );
      for (const deployment of fresh) noted.add(deployment);
    },
  };
}
