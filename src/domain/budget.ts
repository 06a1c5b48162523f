import { registry, type RegistryEvent } from './registry.ts';
import type { Subject } from './subject.ts';

/** Limits under a name, which keys, projects, users, end users and tags can share. */
export type BudgetData = Subject;

// Events. These names and shapes are stored for ever; see store/codec.ts before changing one.
export type BudgetEvent = RegistryEvent<'budget.defined', 'budget', BudgetData>;

export const budget = registry<BudgetData>()({
  noun: 'budget',
  made: 'budget.defined',
  taken: 'budget_exists',
  what: 'budget',
});
