import { type SelectQueryBuilder, sql } from 'kysely';

/** One page of the rows that match, in the order of `ordered`, and how many match in all. */
export async function pageOf<Tables, Names extends keyof Tables, Row>(
  matching: SelectQueryBuilder<Tables, Names, object>,
  ordered: SelectQueryBuilder<Tables, Names, Row>,
  { page, size }: { readonly page: number; readonly size: number },
): Promise<{ readonly rows: readonly Row[]; readonly total: number; readonly pages: number }> {
  const [counted, rows] = await Promise.all([
    matching.clearSelect().select(sql<string>`count(*)`.as('total')).executeTakeFirstOrThrow(),
    ordered
      .limit(size)
      .offset((page - 1) * size)
      .execute(),
  ]);
  // The type of a row that depends on type parameters is one that the compiler does not work out.
  const { total: text } = counted as unknown as { readonly total: string };
  const total = Number(text);
  return { rows, total, pages: Math.ceil(total / size) };
}
