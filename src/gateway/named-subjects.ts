import type { budgets } from '../../projections/budgets.ts';
import type { customers } from '../../projections/customers.ts';
import type { tags } from '../../projections/tags.ts';
import type { JsonObject } from '../domain/json.ts';
import type { MemoryTable } from '../memory-table.ts';
import type { RowIn } from '../projection.ts';
import type { Accounts } from './accounts.ts';
import { sharedAllowance } from './allowance.ts';
import type { Caller } from './caller.ts';
import type { Level } from './levels.ts';
import { concerning, levelIfLimited, type ModelLevel, modelLevelsFor, type Scope } from './scope-levels.ts';

/**
 * Whom and what a request names itself: its end user and its tags. Most requests name nobody of whom
 * more is known, and for those there is nothing to do. What follows from a row is kept as long as the
 * row is the same object, as with keys.
 */
export interface SubjectTables {
  readonly customers: Pick<MemoryTable<typeof customers>, 'get' | 'size'>;
  readonly tags: Pick<MemoryTable<typeof tags>, 'get' | 'size'>;
  readonly budgets: Pick<MemoryTable<typeof budgets>, 'get'>;
}

type SubjectRow = RowIn<typeof customers> | RowIn<typeof tags>;

/** One registered end user or tag. */
export interface Subject {
  readonly kind: 'end-user' | 'tag';
  readonly id: string;
  readonly blocked: boolean;
  /** [] allows all. */
  readonly models: readonly string[];
  /** Serves what the requested model does not; null for tags, and where none was named. */
  readonly defaultModel: string | null;
  /** The default model serves every request: only deployments of one region may be used, and none says where it is. */
  readonly always: boolean;
  /** Null when only single models are limited, or nothing is. */
  readonly level: Level | null;
  readonly modelLevels: readonly ModelLevel[];
}

export interface NamedSubjects {
  /** The registered ones among them; null when there is none. */
  of(caller: Caller, endUser: string | null, tags: readonly string[]): readonly Subject[] | null;
}

interface Kept {
  readonly subject: Subject;
  readonly shared: RowIn<typeof budgets> | undefined;
  readonly generation: number;
}

export function createNamedSubjects(tables: SubjectTables, accounts: Accounts): NamedSubjects {
  const kept = new WeakMap<SubjectRow, Kept>();

  function subjectOf(row: SubjectRow, caller: Caller): Subject {
    const shared = row.budget_id === null ? undefined : tables.budgets.get(row.budget_id);
    const known = kept.get(row);
    if (known !== undefined && known.shared === shared && known.generation === accounts.generation)
      return known.subject;
    const allowed = sharedAllowance(row, shared);
    const scope = scopeOf(row, caller.zone);
    const subject: Subject = {
      kind: scope.name as Subject['kind'],
      id: scope.shownId!,
      ...factsOf(row),
      models: row.models,
      level: levelIfLimited(accounts, scope, allowed),
      modelLevels: modelLevelsFor(accounts, scope, allowed),
    };
    kept.set(row, { subject, shared, generation: accounts.generation });
    return subject;
  }

  return {
    of(caller, endUser, names) {
      let found: Subject[] | null = null;
      if (endUser !== null && tables.customers.size > 0) {
        const row = tables.customers.get(caller.tenantId, endUser);
        if (row !== undefined) found = [subjectOf(row, caller)];
      }
      if (names.length === 0 || tables.tags.size === 0) return found;
      for (const name of names) {
        const row = tables.tags.get(caller.tenantId, name);
        if (row !== undefined) (found ??= []).push(subjectOf(row, caller));
      }
      return found;
    },
  };
}

/** All levels of a request for a model. */
export function levelsOf(
  caller: Caller,
  subjects: readonly Subject[] | null,
  model: string,
): readonly Level[] {
  const own = caller.modelLevels === null ? caller.levels : caller.modelLevels.of(model);
  if (subjects === null) return own;
  const levels = [...own];
  for (const { level, modelLevels } of subjects) {
    if (level !== null) levels.push(level);
    if (modelLevels.length > 0) levels.push(...concerning(modelLevels, model));
  }
  return levels;
}

function scopeOf(row: SubjectRow, zone: string): Scope {
  if ('customer_id' in row) {
    const { tenant_id: tenantId, customer_id: id } = row;
    return { name: 'end-user', id: `${tenantId}/${id}`, shownId: id, subject: `End User=${id}`, zone };
  }
  const { tenant_id: tenantId, name } = row;
  return { name: 'tag', id: `${tenantId}/${name}`, shownId: name, subject: `Tag=${name}`, zone };
}

function factsOf(row: SubjectRow): Pick<Subject, 'blocked' | 'defaultModel' | 'always'> {
  if (!('customer_id' in row)) return { blocked: false, defaultModel: null, always: false };
  const options = row.options as JsonObject;
  const model = options['default_model'];
  const defaultModel = typeof model === 'string' && model !== '' ? model : null;
  return { blocked: row.blocked, defaultModel, always: typeof options['allowed_model_region'] === 'string' };
}
