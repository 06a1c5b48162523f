/** How often a property is tried. PROPERTY_RUNS=5 tries each of the costly ones five times as often. */
const TIMES = Number(process.env['PROPERTY_RUNS'] ?? 1);

export const runs = (count: number): { readonly numRuns: number } => ({ numRuns: count * TIMES });
