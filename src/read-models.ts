import { agencies } from '../projections/agencies.ts';
import { auditors } from '../projections/auditors.ts';
import { collections } from '../projections/collections.ts';
import { includedUsage } from '../projections/included-usage.ts';
import { invoices } from '../projections/invoices.ts';
import { keys } from '../projections/keys.ts';
import { periods } from '../projections/periods.ts';
import { plans } from '../projections/plans.ts';
import { projects } from '../projections/projects.ts';
import { spendLog } from '../projections/spend-log.ts';
import { spendTotals } from '../projections/spend-totals.ts';
import { tenants } from '../projections/tenants.ts';
import { usage } from '../projections/usage.ts';
import { billedLines } from '../projections/billed-lines.ts';
import { budgets } from '../projections/budgets.ts';
import { consultations } from '../projections/consultations.ts';
import { customers } from '../projections/customers.ts';
import { invitations } from '../projections/invitations.ts';
import { members } from '../projections/members.ts';
import { models } from '../projections/models.ts';
import { tags } from '../projections/tags.ts';
import { users } from '../projections/users.ts';
import type { Projection } from './projection.ts';

/** Every read model that is kept as a table. A new one is a file in projections/ and a line here. */
export const readModels: readonly Projection[] = [
  agencies,
  plans,
  tenants,
  projects,
  keys,
  spendTotals,
  spendLog,
  usage,
  includedUsage,
  billedLines,
  invoices,
  collections,
  periods,
  auditors,
  consultations,
  users,
  members,
  invitations,
  customers,
  budgets,
  tags,
  models,
];

/** Throws an Error that lists the names there are. */
export function readModel(name: string): Projection {
  const found = readModels.find((projection) => projection.name === name);
  if (found !== undefined) return found;
  const names = readModels.map((projection) => projection.name).join(', ');
  throw new Error(`There is no read model ${name}. There are: ${names}.`);
}
