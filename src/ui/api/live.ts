import { type Query, type QueryClient, useQueryClient } from '@tanstack/react-query';
import { useEffect, useSyncExternalStore } from 'react';
import { SIGNED_OUT } from './client.ts';

/**
 * The server says what has changed, and the answers on the page that depend on it are read again: at most
 * as often as each of them wants, and never before the last reading has come. While there is no stream
 * (a proxy that holds it back, a server that starts), the same answers are read every few seconds instead.
 *
 * A page that nobody looks at has no stream: browsers allow few connections to one host.
 */
export type Topic =
  | 'usage'
  | 'keys'
  | 'tenants'
  | 'invoices'
  | 'models'
  | 'plans'
  | 'people'
  | 'settings'
  | 'audit'
  | 'health';

/** What an answer depends on. */
export interface LiveOn {
  readonly topics: readonly Topic[];
  /** Shortest time between two readings; 1 s by default. */
  readonly gapMs?: number;
}

const WITHOUT_STREAM_MS = 10_000;
const GAP_MS = 1_000;
const BUSY_MS = 250;
const RETRY_MS = 5_000;

let isOn = false;
const watchers = new Set<() => void>();
const waiting = new Map<string, ReturnType<typeof setTimeout>>();

function setOn(value: boolean): void {
  if (isOn === value) return;
  isOn = value;
  for (const watcher of watchers) watcher();
}

/** Whether changes show by themselves at this moment. */
export function useLive(): boolean {
  return useSyncExternalStore(
    (watcher) => {
      watchers.add(watcher);
      return () => watchers.delete(watcher);
    },
    () => isOn,
  );
}

/** For `refetchInterval`. */
export function pollingMs(): number | false {
  return isOn ? false : WITHOUT_STREAM_MS;
}

/** Keeps the stream open while somebody is signed in and looks. */
export function useLiveStream(): void {
  const queries = useQueryClient();
  useEffect(() => {
    let source: EventSource | null = null;
    let retry: ReturnType<typeof setTimeout> | undefined;
    const close = () => {
      clearTimeout(retry);
      source?.close();
      source = null;
      setOn(false);
    };
    const open = () => {
      close();
      if (document.visibilityState !== 'visible') return;
      source = new EventSource('/api/live');
      source.addEventListener('ready', () => {
        setOn(true);
        readAgain(queries, () => true);
      });
      source.addEventListener('changed', ({ data }: MessageEvent<string>) => {
        const { topics } = JSON.parse(data) as { readonly topics: readonly Topic[] };
        readAgain(queries, (live) => live.topics.some((topic) => topics.includes(topic)));
      });
      source.addEventListener('ended', () => {
        close();
        window.dispatchEvent(new Event(SIGNED_OUT));
      });
      source.addEventListener('error', () => {
        setOn(false);
        // After an answer that is no stream, the browser does not try again by itself.
        if (source?.readyState === EventSource.CLOSED) retry = setTimeout(open, RETRY_MS);
      });
    };
    open();
    document.addEventListener('visibilitychange', open);
    return () => {
      document.removeEventListener('visibilitychange', open);
      for (const timer of waiting.values()) clearTimeout(timer);
      waiting.clear();
      close();
    };
  }, [queries]);
}

function readAgain(queries: QueryClient, concerns: (live: LiveOn) => boolean): void {
  for (const query of queries.getQueryCache().getAll()) {
    const live = query.meta?.['live'] as LiveOn | undefined;
    if (live !== undefined && concerns(live)) later(queries, query, live.gapMs ?? GAP_MS);
  }
}

function later(queries: QueryClient, query: Query, gapMs: number, atLeastMs = 0): void {
  const { queryHash: hash, queryKey } = query;
  if (waiting.has(hash)) return;
  const waitMs = Math.max(query.state.dataUpdatedAt + gapMs - Date.now(), atLeastMs);
  const timer = setTimeout(() => {
    waiting.delete(hash);
    if (query.state.fetchStatus === 'fetching') later(queries, query, gapMs, BUSY_MS);
    else void queries.invalidateQueries({ queryKey, exact: true });
  }, waitMs);
  waiting.set(hash, timer);
}
