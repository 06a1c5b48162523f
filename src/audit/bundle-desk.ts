import { exportBundle, type ExportDeps } from './export.ts';
import { resolveScope, type ScopeRequest } from './export-scope.ts';

/** Exports for those who ask over HTTP. */
export interface BundleDesk {
  /** Null when there is no such thing; else what writes the bundle. Throws like `exportBundle`. */
  open(request: ScopeRequest): Promise<((put: (line: string) => Promise<void>) => Promise<void>) | null>;
}

export function bundleDesk(deps: ExportDeps): BundleDesk {
  return {
    async open(request) {
      const scope = await resolveScope(deps, request);
      if (scope === null) return null;
      return async (put) => {
        await exportBundle(deps, { scope, put });
      };
    },
  };
}
