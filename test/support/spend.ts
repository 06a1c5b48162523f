/** Requests that keys made, straight into the log, for tests of what is shown of them. */
import type { SpendRecorded } from '../../src/domain/spend.ts';
import type { Admin } from './admin.ts';
import { OWN } from './admin.ts';
import { freshStream } from './log.ts';
import { newEvent, spendRecorded } from './events.ts';

export interface Spender {
  readonly key_id: string;
  readonly token: string;
  readonly organization_id: string | null;
  readonly team_id: string | null;
  readonly user_id: string | null;
}

/** One request for each of `overrides`, by the key with this record; resolves when reads show them. */
export async function spend(
  admin: Admin,
  key: Spender,
  ...overrides: readonly Partial<SpendRecorded['data']>[]
): Promise<void> {
  const stream = freshStream('spend');
  const owner = {
    keyId: key.key_id,
    tokenHash: key.token,
    projectId: key.team_id,
    userId: key.user_id,
  };
  const events = overrides.map((data, i) => {
    const own = { requestId: `${stream}-${i}`, responseId: `chatcmpl-${stream}-${i}` };
    return newEvent(spendRecorded({ ...owner, ...own, ...data }), `${stream} ${i}`, {
      agencyId: OWN.agencyId,
      tenantId: key.organization_id ?? OWN.tenantId,
    });
  });
  const { position } = await admin.store.append([{ stream, expected: 'none', events }]);
  await admin.deps.settled(position);
}
