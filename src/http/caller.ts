import type { AuditorRow, KeyRow } from './read.ts';
import type { Standing } from './standing.ts';

/** Who asks. */
export type Caller =
  /** The master key, or a virtual key or a session of a user with this role; `key` is null without one. */
  | {
      readonly role: 'proxy_admin';
      readonly userId: string;
      readonly key: KeyRow | null;
      readonly byMasterKey?: true;
    }
  /** A virtual key whose user has a role, or a session of such a user, without a key. */
  | { readonly role: 'user'; readonly key: KeyRow | null; readonly standing: Standing }
  /** A virtual key of nobody, or of a user whom nobody registered. */
  | { readonly role: 'key'; readonly key: KeyRow }
  | { readonly role: 'auditor'; readonly auditor: AuditorRow };
