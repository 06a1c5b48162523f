import {
  keepPreviousData,
  type QueryKey,
  useMutation,
  useQuery,
  useQueryClient,
  type UseQueryResult,
} from '@tanstack/react-query';
import { useRef } from 'react';
import { faultsIn, type Schema } from './check.ts';
import { ApiError, invalidInput, type Params, type Query, read, write } from './client.ts';
import type { Reads, Writes } from './contract.ts';
import { type LiveOn, pollingMs } from './live.ts';

export interface ReadOptions {
  readonly params?: Params;
  readonly query?: Query;
  readonly enabled?: boolean;
  /** Asks again after so many milliseconds while the page is looked at: for what changes with time alone. */
  readonly everyMs?: number;
  /** Asks again when something of it has changed. */
  readonly live?: LiveOn;
  /** Shows the answer to the question before while the next one is on its way. */
  readonly keep?: boolean;
}

export function useRead<Route extends keyof Reads>(
  route: Route,
  options: ReadOptions = {},
): UseQueryResult<Reads[Route], ApiError> {
  const { params, query, enabled = true, everyMs, live, keep = false } = options;
  const asked = useQuery<unknown, ApiError>({
    queryKey: keyOf(route, params, query),
    queryFn: ({ signal }) =>
      read(route, {
        signal,
        ...(params === undefined ? {} : { params }),
        ...(query === undefined ? {} : { query }),
      }),
    enabled,
    ...(live === undefined ? {} : { meta: { live }, refetchInterval: everyMs ?? pollingMs }),
    ...(live !== undefined || everyMs === undefined ? {} : { refetchInterval: everyMs }),
    ...(keep ? { placeholderData: keepPreviousData } : {}),
  });
  return asked as UseQueryResult<Reads[Route], ApiError>;
}

function keyOf(route: string, params: Params | undefined, query: Query | undefined): QueryKey {
  return [route, params ?? {}, query ?? {}];
}

export interface WriteInput {
  readonly params?: Params;
  readonly body?: unknown;
  /** Secret of a key that asks instead of the session. Never kept. */
  readonly bearer?: string;
}

/**
 * A write. The same attempt keeps its idempotency key until it has succeeded, so that sending it again
 * after a lost answer does nothing twice. Everything on the page is read again afterwards.
 */
export function useWrite<Route extends keyof Writes>(route: Route, onDone?: (answer: Writes[Route]) => void) {
  const queries = useQueryClient();
  const attempt = useRef<{ readonly text: string; readonly id: string } | null>(null);
  return useMutation<Writes[Route], ApiError, WriteInput>({
    mutationFn: async (input) => {
      await requireValid(route, input.body);
      const text = JSON.stringify(input);
      if (attempt.current?.text !== text) attempt.current = { text, id: crypto.randomUUID() };
      return write(route, { ...input, id: attempt.current.id });
    },
    onSuccess: (answer) => {
      attempt.current = null;
      onDone?.(answer);
      void queries.invalidateQueries();
    },
  });
}

/** Throws what the API would say about the body, as far as its schema says it. */
async function requireValid(route: string, body: unknown): Promise<void> {
  if (body === undefined) return;
  const { default: schemas } = await import('./bodies.json');
  const schema = new Map<string, Schema>(Object.entries(schemas)).get(route);
  const faults = schema === undefined ? [] : faultsIn(schema, body);
  if (faults.length > 0) throw invalidInput(faults);
}
