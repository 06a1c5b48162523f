import { useCallback, useMemo } from 'react';
import { useSearch } from 'wouter';
import { navigate } from 'wouter/use-browser-location';

/** The filters of a page live in its address: a link to them shows the same, and Back undoes them. */
export function useFilters(): readonly [
  get: (name: string) => string,
  set: (changes: Readonly<Record<string, string | null>>, options?: { readonly replace?: boolean }) => void,
] {
  const search = useSearch();
  const values = useMemo(() => new URLSearchParams(search), [search]);
  const get = useCallback((name: string) => values.get(name) ?? '', [values]);
  const set = useCallback(
    (
      changes: Readonly<Record<string, string | null>>,
      { replace = false }: { readonly replace?: boolean } = {},
    ) => {
      const next = new URLSearchParams(location.search);
      for (const [name, value] of Object.entries(changes)) {
        if (value === null || value === '') next.delete(name);
        else next.set(name, value);
      }
      const text = next.size === 0 ? location.pathname : `${location.pathname}?${next}`;
      navigate(text, { replace });
    },
    [],
  );
  return [get, set];
}
