import { readFileSync } from 'node:fs';
import { formatKeyHistory } from '../audit/format-key-history.ts';
import { linesOf } from '../audit/bundle.ts';
import { formatVerdict, type Verdict } from '../audit/format-verdict.ts';
import { keyHistory, type Moment } from '../audit/key-history.ts';
import { adoptKey } from '../audit/sealer.ts';
import {
  drawNextKey,
  hasSigningKey,
  type PublicKey,
  publicKeyOf,
  settleNextKey,
  signingKeys,
} from '../audit/signing-key.ts';
import { verifyBundle } from '../audit/verify-bundle.ts';
import { verifyLog } from '../audit/verify.ts';
import { billingRecords } from '../billing/billing-records.ts';
import { recomputeDraft } from '../billing/recompute.ts';
import { maskSecret } from '../secrets.ts';
import type { EventStore } from '../store/event-store.ts';
import { type CommandContext, keySource, toJson, usage, withInstallation } from './context.ts';
import { withReadModels } from './read-models.ts';

const KEY_USAGE = 'audit key <id> [--at <instant or position>] [--json]';

/** Replays one key: who did what when, its state at that moment, what it cost. */
export async function auditKey(context: CommandContext): Promise<number> {
  const [name] = context.args;
  if (name === undefined) return usage(context, KEY_USAGE);
  const { at } = context.options;
  const moment = at === undefined ? undefined : momentOf(at);
  if (moment === null)
    return usage(context, `${KEY_USAGE}\n--at takes an instant such as 2026-11-20T12:00:00Z, or a position`);
  return withInstallation(context, (installation) =>
    withReadModels(context, installation, async () => {
      const now = () => new Date().toISOString();
      const deps = { store: installation.store, db: installation.database.db, now };
      const history = await keyHistory(deps, name, moment === undefined ? {} : { at: moment });
      if (history === null) {
        context.say(`There is no key ${name.startsWith('sk-') ? maskSecret(name) : name}.`);
        return 1;
      }
      context.say(context.options.json ? toJson(history) : formatKeyHistory(history));
      return 0;
    }),
  );
}

function momentOf(text: string): Moment | null {
  if (/^\d{1,18}$/.test(text)) return BigInt(text);
  const instant = new Date(text);
  return Number.isNaN(instant.getTime()) ? null : instant.toISOString();
}

const VERIFY_USAGE =
  'audit verify [--from <position>] [--to <position>] [--offline <bundle>] [--public-key <file>] [--expect <hash>] [--json]';

/**
 * Checks the whole log and every read model, a part of the log, or a bundle without any installation.
 * Exit code 1 when something is wrong.
 */
export async function auditVerify(context: CommandContext): Promise<number> {
  const { from, to, offline, expect } = context.options;
  const positions = [from, to].filter((text) => text !== undefined);
  const isWrong =
    positions.some((text) => !/^[1-9]\d{0,17}$/.test(text)) ||
    (offline !== undefined && positions.length > 0);
  if (isWrong || expect.some((hash) => !/^[0-9a-f]{64}$/.test(hash))) return usage(context, VERIFY_USAGE);
  if (offline !== undefined) return await verifyOffline(context, offline);
  const options = {
    ...(from === undefined ? {} : { from: BigInt(from) }),
    ...(to === undefined ? {} : { to: BigInt(to) }),
    expected: expect,
    trusted: trustedKeys(context),
    onProgress: progressOf(context),
  };
  const nowMs = (): number => performance.now();
  return withInstallation(context, async (installation) => {
    const { store, database } = installation;
    const recompute = recomputeDraft.bind(null, { store, records: billingRecords(database) });
    const verify = async (): Promise<number> =>
      conclude(context, await verifyLog({ store, pool: database.pool, recompute, nowMs }, options));
    return positions.length > 0 ? await verify() : await withReadModels(context, installation, verify);
  });
}

async function verifyOffline(context: CommandContext, file: string): Promise<number> {
  const { publicKey, expect } = context.options;
  const report = await verifyBundle({
    open: () => linesOf(file),
    trusted: publicKey === undefined ? [] : [readPublicKey(publicKey)],
    expected: expect,
    nowMs: () => performance.now(),
    onProgress: progressOf(context),
  });
  return conclude(context, report);
}

function conclude(context: CommandContext, report: Verdict): number {
  context.progress('');
  context.say(context.options.json ? toJson(report) : formatVerdict(report));
  return report.ok ? 0 : 1;
}

function progressOf({ progress }: CommandContext) {
  return ({
    part,
    done,
    total,
  }: {
    readonly part: string;
    readonly done: number;
    readonly total: number;
  }): void => progress(`checking ${part}: ${done} of ${total}`);
}

/** The key that is named, else those of this installation, else none. */
function trustedKeys({ config, options }: CommandContext): readonly PublicKey[] {
  if (options.publicKey !== undefined) return [readPublicKey(options.publicKey)];
  const source = keySource(config);
  return hasSigningKey(source) ? signingKeys(source) : [];
}

/** PEM, or what `/api/audit/public-key` answers. */
function readPublicKey(file: string): PublicKey {
  try {
    const text = readFileSync(file, 'utf8').trim();
    const isAnswer = text.startsWith('{');
    return publicKeyOf(isAnswer ? (JSON.parse(text) as { readonly public_key: string }).public_key : text);
  } catch (error) {
    const problem = error instanceof Error ? error.message : String(error);
    throw new Error(`${file} holds no Ed25519 public key as PEM: ${problem}`, { cause: error });
  }
}

/**
 * Hands over to another signing key: a freshly drawn one, or the one in AUDIT_SIGNING_KEY, with the
 * one before in AUDIT_SIGNING_KEY_PREVIOUS. With --force also when the one before is lost.
 */
export async function auditRotateKey(context: CommandContext): Promise<number> {
  const { config, options } = context;
  const source = keySource(config);
  return withInstallation(context, async ({ store }) => {
    const now = (): string => new Date().toISOString();
    if (source.configured === null && hasSigningKey(source)) drawNextKey(config.dataDir);
    const deps = { store, keys: () => signingKeys(source), agencyId: await agencyOf(store), now };
    const keyId = await adoptKey(deps, { force: options.force });
    if (source.configured === null) settleNextKey(config.dataDir);
    context.say(`the log is signed with the key ${keyId} from here on`);
    return 0;
  });
}

/** The agency under which the installation files what belongs to none. */
async function agencyOf(store: EventStore): Promise<string> {
  for await (const { agencyId } of store.readLog(0n)) return agencyId;
  throw new Error('The log is empty: there is nothing to sign yet.');
}
