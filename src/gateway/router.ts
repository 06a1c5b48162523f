import type { Deployment } from '../domain/deployment.ts';
import { matchesName } from './model-names.ts';

/** Finds the deployment that serves a public model name, by weight when there are several. */
export interface Router {
  /** Null when no deployment has the name or a wildcard for it. */
  pick(model: string): Deployment | null;
}

/** `random` gives numbers from 0 to less than 1. */
export function createRouter(deployments: readonly Deployment[], random: () => number): Router {
  const byName = new Map<string, Deployment[]>();
  for (const deployment of deployments) {
    const group = byName.get(deployment.publicName);
    if (group === undefined) byName.set(deployment.publicName, [deployment]);
    else group.push(deployment);
  }
  // The longest prefix is the most precise, `*` the least.
  const wildcards = [...byName.keys()]
    .filter((name) => name === '*' || name.endsWith('/*'))
    .toSorted((a, b) => b.length - a.length);

  function groupOf(model: string): readonly Deployment[] | undefined {
    const exact = byName.get(model);
    if (exact !== undefined && !wildcards.includes(model)) return exact;
    const wildcard = wildcards.find((name) => matchesName(name, model));
    return wildcard === undefined ? undefined : byName.get(wildcard);
  }

  return {
    pick(model) {
      const group = groupOf(model);
      if (group === undefined) return null;
      return group.length === 1 ? group[0]! : byWeight(group, random());
    },
  };
}

function byWeight(group: readonly Deployment[], random: number): Deployment {
  const total = group.reduce((sum, { weight }) => sum + weight, 0);
  let left = random * total;
  for (const deployment of group) {
    left -= deployment.weight;
    if (left < 0) return deployment;
  }
  return group.at(-1)!;
}
