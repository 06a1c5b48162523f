import { createHash } from 'node:crypto';
import type { Pool } from 'pg';
import { canonicalJson, type Json } from '../domain/json.ts';
import { ProviderFailure } from './collector.ts';

/**
 * Makes something at the payment provider once, however often it is interrupted. That it was begun is
 * durable before the first request, and its result before the next step. In between the outcome is
 * unknown: then the thing is looked for first, and asked for again under the same idempotency key. A
 * provider forgets its keys after a day, so an older one is never sent again: not found by then, the
 * thing was not made, and a new key is drawn.
 */
export interface Step<T extends Json> {
  /** Account, thing and what is done, such as `acct_1 inv_1 draft`. */
  readonly name: string;
  /** What the request says: with other content it is another request. */
  readonly content: unknown;
  /** What an earlier attempt made; null when there is nothing. */
  readonly find: () => Promise<T | null>;
  /** `begunAt`: the same for every request under one key. */
  readonly make: (key: string, begunAt: string) => Promise<T>;
}

export interface StepDeps {
  readonly pool: Pool;
  /** ISO instant, UTC. */
  readonly now: () => string;
}

/** The provider keeps keys for 24 hours at least. */
const KEY_MS_MAX = 23 * 3_600_000;

interface StepRow {
  readonly begun_at: string;
  readonly generation: number;
  readonly spoilt: boolean;
  readonly result: Json;
}

/** Throws ProviderFailure. */
export async function carryOut<T extends Json>(deps: StepDeps, step: Step<T>): Promise<T> {
  const known = await readStep(deps.pool, step.name);
  if (known !== null && known.result !== null) return known.result as T;
  if (known !== null) {
    const found = await step.find();
    if (found !== null) return keepResult(deps.pool, step.name, found);
  }
  const { begunAt, generation } = await begin(deps, step.name, known);
  try {
    const made = await step.make(keyOf(step, generation), begunAt);
    return await keepResult(deps.pool, step.name, made);
  } catch (error) {
    if (error instanceof ProviderFailure && error.final) {
      await deps.pool.query('update provider_steps set spoilt = true where step_key = $1', [step.name]);
    }
    throw error;
  }
}

/** The result of a step that may never have been begun; null without one. */
export async function resultOf<T extends Json>(pool: Pool, name: string): Promise<T | null> {
  return ((await readStep(pool, name))?.result ?? null) as T | null;
}

export async function wasBegun(pool: Pool, name: string): Promise<boolean> {
  return (await readStep(pool, name)) !== null;
}

async function readStep(pool: Pool, name: string): Promise<StepRow | null> {
  const { rows } = await pool.query<StepRow>(
    'select begun_at, generation, spoilt, result from provider_steps where step_key = $1',
    [name],
  );
  return rows[0] ?? null;
}

async function begin(
  { pool, now }: StepDeps,
  name: string,
  known: StepRow | null,
): Promise<{ readonly begunAt: string; readonly generation: number }> {
  const at = now();
  const isUsable =
    known !== null && !known.spoilt && Date.parse(at) - Date.parse(known.begun_at) < KEY_MS_MAX;
  if (isUsable) return { begunAt: known.begun_at, generation: known.generation };
  const generation = (known?.generation ?? 0) + 1;
  await pool.query(
    `insert into provider_steps (step_key, begun_at, generation) values ($1, $2, $3)
     on conflict (step_key) do update set begun_at = $2, generation = $3, spoilt = false`,
    [name, at, generation],
  );
  return { begunAt: at, generation };
}

async function keepResult<T extends Json>(pool: Pool, name: string, result: T): Promise<T> {
  await pool.query('update provider_steps set result = $2 where step_key = $1', [
    name,
    JSON.stringify(result),
  ]);
  return result;
}

function keyOf({ name, content }: Step<Json>, generation: number): string {
  const hash = createHash('sha256').update(canonicalJson(content)).digest('hex').slice(0, 16);
  return `keyledger:${name.replaceAll(' ', ':')}:${hash}:${generation}`;
}
