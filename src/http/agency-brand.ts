import type { Json } from '../domain/json.ts';
import type { HttpDeps } from './deps.ts';
import { recordOf } from './read.ts';

/** What of an agency's brand shows in a console. */
export interface ShownBrand {
  /** `#rrggbb`, readable on white. Null: the plain one. */
  readonly accent: string | null;
  /** Path of the logo; null: none. */
  readonly logo: string | null;
}

/** Null when the brand has none. */
export function logoOf(brand: Json): { readonly type: string; readonly data: string } | null {
  const logo = recordOf(recordOf(brand)['logo'] ?? {});
  const { type, data } = logo;
  return typeof type === 'string' && typeof data === 'string' ? { type, data } : null;
}

export async function shownBrand(
  { billing }: Pick<HttpDeps, 'billing'>,
  agencyId: string,
): Promise<ShownBrand> {
  const { version, brand } = await billing.brand(agencyId);
  const { accent } = recordOf(brand);
  return {
    accent: version === 0 || typeof accent !== 'string' ? null : accent,
    logo: logoOf(brand) === null ? null : `/api/agencies/${agencyId}/logo?v=${version}`,
  };
}
