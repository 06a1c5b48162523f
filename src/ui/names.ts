import { useMemo } from 'react';
import type { DirectoryProject, DirectoryTenant } from './api/shapes-people.ts';
import { useRead } from './api/hooks.ts';
import { useSession, useT } from './context.tsx';

/** Names for ids, from what the signed-in user knows. An id without a known name stands for itself. */
export interface Names {
  readonly tenants: readonly DirectoryTenant[];
  readonly projects: readonly DirectoryProject[];
  readonly tenant: (id: string | null) => string;
  readonly project: (id: string | null) => string;
}

export function useNames(): Names {
  const t = useT();
  const { agency } = useSession();
  const { data } = useRead('GET /api/directory');
  return useMemo(() => {
    const tenants = data?.tenants ?? [];
    const projects = data?.projects ?? [];
    const byTenant = new Map(
      tenants.map(({ id, name, own }) => [id, own ? (agency.name ?? t('own.tenant')) : (name ?? id)]),
    );
    const byProject = new Map(projects.map(({ id, name }) => [id, name ?? id]));
    return {
      tenants,
      projects,
      tenant: (id) => (id === null ? (agency.name ?? t('own.tenant')) : (byTenant.get(id) ?? id)),
      project: (id) => (id === null || id === '' ? '–' : (byProject.get(id) ?? id)),
    };
  }, [data, agency, t]);
}
