/**
 * Lists of models as keys, projects and contracts have them: public names, `prefix/*`, `*`, and
 * the names LiteLLM gives to "everything". [] allows every model of the enclosing scope.
 */
const EVERYTHING: ReadonlySet<string> = new Set(['*', 'all-proxy-models', 'all-team-models']);

export function allowsModel(allowed: readonly string[], model: string): boolean {
  return allowed.length === 0 || allowed.some((entry) => EVERYTHING.has(entry) || matchesName(entry, model));
}

/** Whether a public name, `prefix/*` or `*`, means this model. */
export function matchesName(name: string, model: string): boolean {
  if (name === model || name === '*') return true;
  return name.endsWith('/*') && model.startsWith(name.slice(0, -1)) && model.length > name.length - 1;
}
