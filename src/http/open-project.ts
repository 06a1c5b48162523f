import { z } from 'zod';
import { ENVIRONMENTS, type Environment } from '../domain/limits.ts';
import { withKeyRules } from '../domain/key-rules.ts';
import { type Agreed, resolveLimits, type Terms } from '../domain/plan.ts';
import type { Command } from './command.ts';
import type { KeyIssuer, LiveKey } from './issue-key.ts';
import { EnvironmentName, LimitsAnswer, limitsAnswer } from './schemas.ts';

/** A project and the keys that it starts with: one for each of its environments. */

export const ProjectName = z.string().trim().min(1).max(200);
/** Appears in paths and logs, hence no blanks. */
export const ProjectId = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/, 'expected 1 to 100 of A-Z a-z 0-9 . _ -');
export const Environments = z
  .array(EnvironmentName)
  .min(1)
  .max(ENVIRONMENTS.length)
  .default([...ENVIRONMENTS])
  .transform((names) => ENVIRONMENTS.filter((name) => names.includes(name)));

export const KeyAnswer = z
  .object({
    id: z.string(),
    alias: z.string().nullable(),
    environment: z.string().nullable(),
    token: z.string().describe('SHA-256 of the secret; names the key, never authenticates'),
    key_name: z.string(),
    status: z.string(),
    expires_at: z.string().nullable(),
    limits: LimitsAnswer,
  })
  .meta({ id: 'KeySummary' });

export const NewKeyAnswer = KeyAnswer.extend({
  secret: z.string().describe('Shown here and never again'),
}).meta({ id: 'NewKey' });

export interface NewProjectKeys {
  readonly command: Command;
  readonly owner: { readonly agencyId: string; readonly tenantId: string };
  readonly projectId: string;
  readonly name: string;
  readonly environments: readonly Environment[];
  /** Null for the agency's own tenant. */
  readonly terms: Terms | null;
  readonly agreed: Agreed | null;
  readonly currency: string;
}

export interface OpenedKeys {
  readonly keys: readonly z.output<typeof NewKeyAnswer>[];
  readonly position: bigint;
}

/** Finds the keys that the same command has made before, and makes those that are missing. */
export async function openKeys(issuer: KeyIssuer, project: NewProjectKeys): Promise<OpenedKeys> {
  const { command, owner, projectId, terms, agreed, currency } = project;
  const slug = slugOf(project.name) || projectId.toLowerCase();
  const keys: z.output<typeof NewKeyAnswer>[] = [];
  let position = 0n;
  for (const environment of project.environments) {
    const wanted = {
      command,
      owner,
      name: `${projectId}/${environment}`,
      secret: null,
      limits: resolveLimits(terms, environment, {}, agreed),
      keysMax: terms?.keyRules?.keysMax ?? null,
      settings: withKeyRules(
        terms?.keyRules,
        {
          alias: null,
          userId: null,
          projectId,
          environment,
          expiresAt: null,
          aliases: {},
          allowedRoutes: [],
          metadata: {},
          options: {},
        },
        command.at,
      ),
      blocked: false,
    };
    const issued = await issuer.generateWithFreshAlias(wanted, `${slug}-${environment}`);
    keys.push({ ...keyAnswer(issued.state, currency), secret: issued.secret });
    if (issued.position > position) position = issued.position;
  }
  return { keys, position };
}

function keyAnswer(state: LiveKey, currency: string): z.output<typeof KeyAnswer> {
  const { settings } = state;
  return {
    id: state.keyId,
    alias: settings.alias,
    environment: settings.environment,
    token: state.tokenHash,
    key_name: state.keyName,
    status: state.status,
    expires_at: settings.expiresAt,
    limits: limitsAnswer(state.limits, currency),
  };
}

const SLUG_LENGTH_MAX = 60;
const GERMAN: Readonly<Record<string, string>> = { ä: 'ae', ö: 'oe', ü: 'ue', ß: 'ss' };

/** `Müller & Söhne: Shop` becomes `mueller-soehne-shop`. */
function slugOf(name: string): string {
  return name
    .normalize('NFC')
    .toLowerCase()
    .replaceAll(/[äöüß]/g, (letter) => GERMAN[letter]!)
    .normalize('NFKD')
    .replaceAll(/\p{M}/gu, '')
    .replaceAll(/[^a-z0-9]+/g, '-')
    .slice(0, SLUG_LENGTH_MAX)
    .replaceAll(/^-|-$/g, '');
}
