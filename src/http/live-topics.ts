import type { DomainEvent, Recorded } from '../events.ts';
import type { Insight } from './sight.ts';

/** What a listener is told of: pages read again what belongs to a topic. */
export const LIVE_TOPICS = [
  'usage',
  'keys',
  'tenants',
  'invoices',
  'models',
  'plans',
  'people',
  'settings',
  'audit',
  'health',
] as const;
export type LiveTopic = (typeof LIVE_TOPICS)[number];

export interface Touched {
  readonly topic: LiveTopic;
  readonly isFor: (insight: Insight) => boolean;
}

type Noun = DomainEvent['type'] extends `${infer N}.${string}` ? N : never;

/** By the noun that an event begins with; null where no page shows it. */
const TOPICS = {
  spend: 'usage',
  key: 'keys',
  budget: 'keys',
  customer: 'keys',
  tag: 'keys',
  tenant: 'tenants',
  contract: 'tenants',
  project: 'tenants',
  'vat-id': 'tenants',
  invoice: 'invoices',
  period: 'invoices',
  number: null,
  model: 'models',
  plan: 'plans',
  user: 'people',
  invitation: 'people',
  agency: 'settings',
  'billing-settings': 'settings',
  'alert-settings': 'settings',
  'tax-status': 'settings',
  auditor: 'audit',
  audit: 'audit',
  log: 'audit',
} as const satisfies Record<Noun, LiveTopic | null>;

/** What everybody sees a list of. */
const PUBLIC: readonly LiveTopic[] = ['models'];

/**
 * What an event touches, and who hears of it: the agency of everything; who leads a tenant of what
 * belongs to it; who leads a project of its spend; everybody of their own spend. `id` is the same for
 * events that the same listeners hear of in the same way.
 */
export function touchedBy(recorded: Recorded): (Touched & { readonly id: string }) | null {
  const { event, tenantId } = recorded;
  const topic = TOPICS[event.type.slice(0, event.type.indexOf('.')) as Noun];
  if (topic === null) return null;
  if (event.type === 'spend.recorded') {
    const { projectId: project, userId: user } = event.data;
    const tenant = tenantId ?? '';
    return {
      topic,
      id: `${topic} ${tenant} ${project ?? ''} ${user ?? ''}`,
      isFor: ({ all, tenants, projects, userId }) =>
        all ||
        tenants.includes(tenant) ||
        (project !== null && projects.includes(project)) ||
        (user !== null && user === userId),
    };
  }
  const isPublic = PUBLIC.includes(topic);
  return {
    topic,
    id: `${topic} ${tenantId ?? ''}`,
    isFor: ({ all, tenants }) => all || isPublic || (tenantId !== null && tenants.includes(tenantId)),
  };
}
