import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { formatVerdict } from '../../src/audit/format-verdict.ts';
import { adoptKey } from '../../src/audit/sealer.ts';
import { signSeal } from '../../src/audit/seal.ts';
import type { VerifyOptions, VerifyReport } from '../../src/audit/verify.ts';
import { canonicalJson } from '../../src/domain/json.ts';
import type { Seal } from '../../src/domain/log-seal.ts';
import { keyBlocked, keyUnblocked, spendRecorded } from '../support/events.ts';
import {
  type AuditedDatabase,
  auditedDatabase,
  openStore,
  sealNow,
  seedHistory,
} from './audited-database.ts';
import { type Forger, forger } from './forging.ts';
import { newKey } from './sealed-log.ts';

const key = newKey();
const trusted = [key];
/** Checks that look at the log alone: a forger can make the read models anew as well. */
const OF_LOG = ['positions', 'chains', 'payloads', 'times', 'seals', 'signatures', 'expected'];
let audited: AuditedDatabase;
let forged: Forger;
let seals: readonly Seal[];

beforeAll(async () => {
  audited = await auditedDatabase();
  await seedHistory(audited);
  const first = await sealNow(audited, key);
  await audited.append('key-key_1', [keyBlocked()]);
  await audited.append('spend-2026-11-w4', [spendRecorded({ requestId: 'late_1' })]);
  const second = await sealNow(audited, key);
  await audited.append('key-key_1', [keyUnblocked()]);
  await audited.settle();
  await audited.stopServer();
  seals = [...first, ...second];
  forged = await forger(audited);
});

afterAll(() => audited.drop());
afterEach(() => forged.restore());

async function verify(options: VerifyOptions = {}): Promise<VerifyReport> {
  return await audited.verify(undefined, options);
}

/** What the checks of the log alone find. */
async function found(options: VerifyOptions = { trusted }): Promise<Record<string, string>> {
  const { checks } = await verify(options);
  const failed = checks.filter(({ name, ok }) => !ok && OF_LOG.includes(name));
  return Object.fromEntries(
    failed.map(({ name, at }) => [
      name,
      at.map(({ position, problem }) => `${position}: ${problem}`).join('\n'),
    ]),
  );
}

const spend = `(select min(position) from events where type = 'spend.recorded')`;

test('a sealed log verifies, says up to where it is sealed and which seal to note', async () => {
  const report = await verify({ trusted, expected: seals.map(({ hash }) => hash) });
  expect(report.checks.filter(({ ok }) => !ok)).toEqual([]);
  const head = BigInt(report.head);
  expect(report).toMatchObject({
    sealedTo: String(head - 2n),
    newestSeal: seals[1]!.hash,
    keyId: key.keyId,
  });
  const verdict = formatVerdict(report);
  expect(verdict).toContain('The last 2 events are chained and not sealed yet');
  expect(verdict).toContain(seals[1]!.hash);
  expect(verdict.split('\n').length).toBeLessThan(50);
});

describe('an edit with the whole chain made anew after it is caught by the seal', () => {
  test('a changed amount', async () => {
    const position = await forged.one<bigint>(spend);
    await forged.forge(
      `update events set data = replace(data::text, '262500', '262499')::json where position = ${position}`,
    );
    await forged.chainAnew(await forged.one(`select stream from events where position = ${position}`));
    expect(await found()).toEqual({
      seals: `1: the seal at ${seals[0]!.position + 1n} covers positions 1 to ${seals[0]!.position}, and something there is not what was sealed`,
    });
  });

  test('a deleted event whose place was closed up', async () => {
    const position = await forged.one<bigint>(
      `select max(position) from events where stream = 'spend-2026-09-w1'`,
    );
    await forged.forge(`delete from events where position = ${position};
      update events set position = -position where position > ${position};
      update events set position = -position - 1 where position < 0`);
    const { seals: problem, ...others } = await found();
    expect(problem).toContain(`1: the seal at ${seals[0]!.position} covers positions 1 to`);
    expect(others).toEqual({});
  });

  test('an event put in, with everything after it moved up', async () => {
    const position = await forged.one<bigint>(
      `select max(position) from events where stream = 'spend-2026-09-w1'`,
    );
    await forged.forge(`update events set position = -position - 1 where position > ${position};
      update events set position = -position where position < 0;
      insert into events select position + 1, stream, revision + 1, gen_random_uuid(), type, schema, agency_id, tenant_id,
        occurred_at, recorded_at, actor, correlation_id, causation_id, command_hash, hash, previous_hash, data
        from events where position = ${position}`);
    await forged.chainAnew('spend-2026-09-w1');
    const { seals: problem, ...others } = await found();
    expect(problem).toContain('something there is not what was sealed');
    expect(others).toEqual({});
  });

  test('two events of different streams that changed places, and their times of recording with them', async () => {
    const a = await forged.one<bigint>(`select position from events where stream = 'key-key_2'`);
    const b = await forged.one<bigint>(spend);
    await forged.forge(`update events set position = -1 where position = ${a};
      update events set position = ${a} where position = ${b};
      update events set position = ${b} where position = -1;
      update events e set recorded_at = o.recorded_at from copy_events o where o.position = e.position and e.position in (${a}, ${b})`);
    expect((await found())['seals']).toContain('not in the order that was sealed');
  });

  test('in a later stretch only, so that it is located there', async () => {
    const position = await forged.one<bigint>(
      `select position from events where stream = 'spend-2026-11-w4'`,
    );
    await forged.forge(`update events set correlation_id = 'x' where position = ${position}`);
    await forged.chainAnew('spend-2026-11-w4');
    expect((await found())['seals']).toMatch(
      new RegExp(
        `^${seals[0]!.position + 1n}: the seal at .* covers positions ${seals[0]!.position + 1n} to ${seals[1]!.position},`,
      ),
    );
  });
});

describe('a forged seal', () => {
  async function putSeal(seal: Seal, number: number): Promise<void> {
    await forged.forge(
      `update events set data = '${canonicalJson(seal)}'::json where position = (select position from events
         where type = 'log.sealed' order by position offset ${number} limit 1)`,
    );
    await forged.chainAnew('checkpoint');
  }

  test('signed again with another key is found, whatever it says', async () => {
    const other = newKey();
    await putSeal(signSeal(other, seals[1]!), 1);
    expect((await found())['signatures']).toContain('is not signed by its key');
    await putSeal(signSeal(other, { ...seals[1]!, keyId: other.keyId }), 1);
    expect((await found())['signatures']).toContain(`names the key ${other.keyId}, in force is ${key.keyId}`);
  });

  test('whose root was changed without signing it again is found', async () => {
    await putSeal({ ...seals[0]!, root: 'f'.repeat(64) }, 0);
    const problems = await found();
    expect(problems['signatures']).toContain('the seal was altered');
    expect(problems['seals']).toContain('something there is not what was sealed');
  });

  test('that is missing is found by the one after it', async () => {
    const position = await forged.one<bigint>(`select min(position) from events where type = 'log.sealed'`);
    await forged.forge(`delete from events where position = ${position};
      update events set position = -position where position > ${position};
      update events set position = -position - 1 where position < 0`);
    await forged.chainAnew('checkpoint');
    expect((await found())['signatures']).toContain('a seal was removed or put in');
  });

  test('and with it all seals and their key made anew, is found by whoever trusts the real key', async () => {
    await forged.forge(`delete from events where position > ${seals[0]!.position}`);
    await forged.forge(`delete from events where stream = 'checkpoint'`);
    const other = newKey();
    await sealNow(audited, other);
    expect(await found({})).toEqual({});
    expect((await found())['signatures']).toContain(`the key ${other.keyId} is none that you trust`);
  });
});

describe('an end that was cut off', () => {
  test('after the last seal leaves no trace in the log; a noted hash of an event finds it', async () => {
    const hash = await forged.one<string>('select hash from events order by position desc limit 1');
    await forged.forge(`delete from events where position > ${seals[1]!.position + 1n}`);
    expect(await found()).toEqual({});
    expect((await found({ trusted, expected: [hash] }))['expected']).toContain(`${hash} is not in the log`);
    const { checks } = await verify();
    expect(checks.find(({ name }) => name === 'end of the log')?.ok).toBe(false);
  });

  test('together with its seal is found by whoever noted that seal', async () => {
    await forged.forge(`delete from events where position > ${seals[0]!.position + 1n}`);
    expect(await found()).toEqual({});
    expect((await found({ trusted, expected: [seals[1]!.hash] }))['expected']).toContain(seals[1]!.hash);
  });

  test('under a seal that is still there is found', async () => {
    await forged.forge(
      `delete from events where position in (${seals[1]!.position}, ${seals[1]!.position - 1n})`,
    );
    expect(Object.keys(await found())).toEqual(expect.arrayContaining(['positions', 'seals']));
  });
});

describe('keys', () => {
  test('that the one before handed over are trusted with it; one that took over is not, and says so', async () => {
    const [second, third] = [newKey(), newKey()];
    const store = openStore(audited, () => audited.clock);
    const adopt = (keys: readonly (typeof key)[], force: boolean) =>
      adoptKey({ store, keys: () => keys, agencyId: 'age_1', now: () => audited.clock }, { force });
    await adopt([second, key], false);
    await sealNow(audited, second);
    expect(await found()).toEqual({});
    expect(await found({ trusted: [second] })).toEqual({});
    expect(await found({})).toEqual({});
    await adopt([third], true);
    await store.close();
    expect((await found({}))['signatures']).toContain(
      `the key ${third.keyId} took over from ${second.keyId} without`,
    );
    expect((await found())['signatures']).toContain('none that you trust');
    expect(await found({ trusted: [key, third] })).toEqual({});
  });
});

describe('a part of the log', () => {
  test('is checked by itself, with the seals that are wholly in it', async () => {
    const from = seals[0]!.position + 1n;
    const report = await verify({ trusted, from, to: seals[1]!.position + 1n });
    expect(report).toMatchObject({
      ok: true,
      from: String(from),
      events: Number(seals[1]!.position + 1n - from) + 1,
    });
    expect(report.checks.find(({ name }) => name === 'seals')?.detail).toContain('1 seals hold, 1 reach out');
    expect(report.checks.map(({ name }) => name)).not.toContain('spend');
  });

  test('shows an edit in it, and none outside of it', async () => {
    await forged.forge(`update events set correlation_id = 'x' where position = 5`);
    expect((await found({ from: 3n, to: 9n }))['chains']).toContain('5: ');
    expect(await found({ from: 6n, to: 9n })).toEqual({});
  });
});
