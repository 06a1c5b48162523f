import { type Deployment, UPSTREAM_TIMEOUT_MS_DEFAULT } from './domain/deployment.ts';
import type { Budget } from './domain/limits.ts';
import { type Routing, ROUTING_DEFAULT } from './domain/routing.ts';
import { Environment, type Settings } from './environment.ts';
import { type KeyPolicySettings, NO_KEY_POLICY } from './litellm-keys.ts';
import { type LitellmConfig, readLitellmConfig, withVersionPath } from './litellm-config.ts';

export interface Config {
  readonly settings: Settings;
  /** Null: embedded Postgres. */
  readonly databaseUrl: string | null;
  /** Null: the log is in Postgres. Holds a password; never printed. */
  readonly eventStoreDbUrl: string | null;
  /** Null: drawn once and kept in the data folder. */
  readonly masterKey: string | null;
  /** Null: the simulated upstream. */
  readonly deployments: readonly Deployment[] | null;
  readonly routing: Routing;
  readonly demo: boolean;
  readonly dataDir: string;
  /** Lower-case name of a header that replaces the usual credential headers. */
  readonly keyHeader: string | null;
  readonly budgetExceededStatus: number;
  /** What the config file says about keys. */
  readonly keyPolicy: KeyPolicySettings;
  /** Limits of everybody together; null when there are none. */
  readonly installation: InstallationLimits | null;
  /** Settings that work and should not stay as they are; said once at start. */
  readonly warnings: readonly string[];
}

export interface ConfigFile {
  readonly name: string;
  readonly text: string;
}

/** Keys that stand in guides and examples: whoever uses one has no key. Compared in lower case. */
const SAMPLE_MASTER_KEYS: ReadonlySet<string> = new Set([
  'sk-1234',
  'sk-12345',
  'sk-123456',
  'sk-12345678',
  'sk-1234567890',
  'sk-test',
  'sk-admin',
  'sk-master',
  'sk-master-key',
  'sk-change-this-master-key',
  'sk-change-me',
  'sk-changeme',
  'sk-your-master-key',
  'sk-your-super-secure-master-key-2026',
  'sk-master-key-1234',
  'sk-my-master-key',
  'sk-litellm-master-key',
  'sk-secret',
  'sk-password',
  'sk-xxxx',
  'sk-abc123',
  'sk-your-key',
  'sk-your-key-here',
  'sk-virtual-key',
  'sk-...',
]);
const MASTER_KEY_LENGTH_MIN = 16;

/**
 * Throws one readable Error that names every wrong or missing setting. `defaultDataDir` is used
 * when KEYLEDGER_DATA_DIR is not set.
 */
export function readConfig(
  environment: Readonly<Record<string, string | undefined>>,
  defaultDataDir: string,
  file?: ConfigFile,
): Config {
  const problems: string[] = [];
  const parsed = Environment.safeParse(withoutEmpty(environment));
  if (!parsed.success) {
    for (const { path, message } of parsed.error.issues) problems.push(`${path.join('.')} ${message}`);
  }
  let fromFile: LitellmConfig | null = null;
  try {
    if (file !== undefined) {
      fromFile = readLitellmConfig(file.text, file.name, environment, environment['UPSTREAM_BASE_URL']);
    }
  } catch (error) {
    problems.push((error as Error).message);
  }
  const listsModels = file !== undefined && (fromFile === null || fromFile.deployments.length > 0);
  const real = present(environment['UPSTREAM_BASE_URL']) || listsModels;
  const masterKey = environment['LITELLM_MASTER_KEY'] ?? fromFile?.masterKey;
  // The file's own message names a master key that it takes from a variable that is not set.
  const named = problems.some((problem) => problem.includes('os.environ/LITELLM_MASTER_KEY'));
  if (!named) problems.push(...masterKeyProblems(masterKey, real, fromFile !== null));
  problems.push(...eventStoreProblems(environment));
  if (!parsed.success || problems.length > 0) throw new Error(wrong(problems));
  const settings = parsed.data;
  return {
    settings,
    databaseUrl: settings.DATABASE_URL ?? fromFile?.databaseUrl ?? postgresUrl(settings),
    eventStoreDbUrl: settings.EVENT_STORE === 'eventstoredb' ? settings.EVENTSTOREDB_URL! : null,
    masterKey: masterKey ?? null,
    deployments: real ? deploymentsOf(settings, fromFile) : null,
    routing: fromFile?.routing ?? ROUTING_DEFAULT,
    demo: settings.KEYLEDGER_DEMO && !real,
    dataDir: settings.KEYLEDGER_DATA_DIR ?? defaultDataDir,
    keyHeader: fromFile?.keyHeader ?? null,
    budgetExceededStatus: settings.BUDGET_EXCEEDED_STATUS_CODE ?? fromFile?.budgetExceededStatus ?? 422,
    keyPolicy: fromFile?.keyPolicy ?? NO_KEY_POLICY,
    installation: installationOf(settings),
    warnings: [
      ...placeholders(environment).map((name) => `${name} still holds a placeholder; replace it`),
      ...insecureEventStore(settings),
      ...(fromFile?.ignored ?? []).map((option) => `the option ${option} has no effect here`),
    ],
  };
}

function wrong(problems: readonly string[]): string {
  return `The configuration is wrong:\n${problems.map((problem) => `  - ${problem}`).join('\n')}`;
}

/** An empty variable means "not set", except the master key, where empty is a mistake to name. */
function withoutEmpty(environment: Readonly<Record<string, string | undefined>>): Record<string, string> {
  const entries = Object.entries(environment).filter(([, value]) => present(value));
  return Object.fromEntries(entries) as Record<string, string>;
}

function present(value: string | undefined): boolean {
  return value !== undefined && value.trim() !== '';
}

function masterKeyProblems(masterKey: string | undefined, real: boolean, hasFile: boolean): string[] {
  const advice = "draw one with: node -p \"'sk-'+require('crypto').randomBytes(32).toString('hex')\"";
  if (masterKey === undefined) {
    if (!real && !hasFile) return [];
    return [`LITELLM_MASTER_KEY is missing: ${advice}`];
  }
  if (masterKey.trim() === '') return [`LITELLM_MASTER_KEY is empty: ${advice}`];
  if (SAMPLE_MASTER_KEYS.has(masterKey.toLowerCase())) {
    return [`LITELLM_MASTER_KEY is a sample value that everybody knows: ${advice}`];
  }
  if (!masterKey.startsWith('sk-')) return ["LITELLM_MASTER_KEY must start with 'sk-'"];
  if (!/^[\x21-\x7e]+$/.test(masterKey)) return ['LITELLM_MASTER_KEY holds blanks or unprintable characters'];
  if (masterKey.length < MASTER_KEY_LENGTH_MIN) {
    return [`LITELLM_MASTER_KEY is shorter than ${MASTER_KEY_LENGTH_MIN} characters: ${advice}`];
  }
  return [];
}

function eventStoreProblems(environment: Readonly<Record<string, string | undefined>>): string[] {
  if (environment['EVENT_STORE'] !== 'eventstoredb') return [];
  const problems = present(environment['EVENTSTOREDB_URL'])
    ? []
    : ['EVENTSTOREDB_URL is missing: EVENT_STORE is eventstoredb'];
  if (/(^|[\s,])(\*|esdb)/.test(environment['DEBUG'] ?? '')) {
    problems.push('DEBUG would print EVENTSTOREDB_URL with its password; unset it');
  }
  return problems;
}

function insecureEventStore({ EVENT_STORE, EVENTSTOREDB_URL: url = '' }: Settings): string[] {
  if (EVENT_STORE !== 'eventstoredb' || !/[?&]tls=false/i.test(url)) return [];
  const unsent = url.includes('@') ? ', and its password is not sent' : '';
  return [`EVENTSTOREDB_URL says tls=false: whoever reaches that port reads and writes the log${unsent}`];
}

/** A password that stands in a guide is none: then the master key is asked for. */
export function consoleLogin({ settings }: Config, masterKey: string) {
  const { UI_USERNAME: username = 'admin', UI_PASSWORD: password } = settings;
  const chosen = password !== undefined && !isPlaceholder(password);
  return { username: username.trim(), password: chosen ? password : masterKey };
}

/** Settings left as the guides and .env.example have them. */
function placeholders(environment: Readonly<Record<string, string | undefined>>): string[] {
  const names = ['UPSTREAM_API_KEY', 'POSTGRES_PASSWORD', 'UI_PASSWORD', 'LITELLM_SALT_KEY'];
  return names.filter((name) => isPlaceholder(environment[name] ?? ''));
}

function isPlaceholder(value: string): boolean {
  return /^(change-this|your_|your-|<)/i.test(value);
}

function postgresUrl(settings: Settings): string | null {
  const { POSTGRES_USER: user, POSTGRES_PASSWORD: password = '', POSTGRES_DB: database } = settings;
  if (user === undefined) return null;
  const credentials = `${encodeURIComponent(user)}:${encodeURIComponent(password)}`;
  const place = `${settings.POSTGRES_HOST}:${settings.POSTGRES_PORT}`;
  return `postgresql://${credentials}@${place}/${encodeURIComponent(database ?? user)}`;
}

/** The file's models, or every model name passed on to the one upstream. */
function deploymentsOf(settings: Settings, file: LitellmConfig | null): readonly Deployment[] {
  if (file !== null && file.deployments.length > 0) return file.deployments;
  return [
    {
      id: 'upstream',
      publicName: '*',
      upstreamModel: null,
      baseUrl: withVersionPath(settings.UPSTREAM_BASE_URL!),
      apiKey: settings.UPSTREAM_API_KEY ?? null,
      maxOutputTokens: settings.MAX_OUTPUT_TOKENS,
      costRates: null,
      weight: 1,
      timeoutMs: UPSTREAM_TIMEOUT_MS_DEFAULT,
      extraHeaders: {},
    },
  ];
}

export interface InstallationLimits {
  readonly parallelRequests: number | null;
  readonly budget: Budget | null;
}

function installationOf(settings: Settings): InstallationLimits | null {
  const {
    INSTALLATION_BUDGET: nanos,
    INSTALLATION_BUDGET_WINDOW: window = null,
    INSTALLATION_PARALLEL_REQUESTS: parallelRequests = null,
  } = settings;
  if (nanos === undefined && parallelRequests === null) return null;
  return { parallelRequests, budget: nanos === undefined ? null : { nanos, window } };
}
