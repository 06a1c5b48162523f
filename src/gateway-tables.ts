import { agencies } from '../projections/agencies.ts';
import { budgets } from '../projections/budgets.ts';
import { customers } from '../projections/customers.ts';
import { keys } from '../projections/keys.ts';
import { members } from '../projections/members.ts';
import { models } from '../projections/models.ts';
import { projects } from '../projections/projects.ts';
import { tags } from '../projections/tags.ts';
import { tenants } from '../projections/tenants.ts';
import { users } from '../projections/users.ts';
import { memoryTable } from './memory-table.ts';

/** The read models that the gateway decides by, in memory. */
export function gatewayTables() {
  return {
    keys: memoryTable(keys, { indexes: ['token_hash', 'old_token_hash'] }),
    projects: memoryTable(projects),
    tenants: memoryTable(tenants),
    agencies: memoryTable(agencies),
    users: memoryTable(users),
    members: memoryTable(members),
    budgets: memoryTable(budgets),
    customers: memoryTable(customers),
    tags: memoryTable(tags),
    models: memoryTable(models),
  };
}
