import { z } from 'zod';
import { MAX_OUTPUT_TOKENS_DEFAULT } from './domain/deployment.ts';
import { parseDuration } from './domain/duration.ts';
import { isZone } from './domain/local-time.ts';
import { parseNanos } from './domain/money.ts';
import { Networks } from './networks.ts';

/**
 * Every setting there is. Read once, at start; the rest of the code receives the values it needs as
 * arguments and never looks at the environment (test/tidy.test.ts).
 */
const Flag = z
  .enum(['on', 'off', 'true', 'false', '1', '0'])
  .transform((text) => ['on', 'true', '1'].includes(text));
const Whole = (min: number, max: number) => {
  const error = `is not a whole number from ${min} to ${max}`;
  return z.coerce.number({ error }).int({ error }).min(min, { error }).max(max, { error });
};
const Text = z.string().trim().min(1);
const Zone = z.string().refine(isZone, 'is not an IANA time zone such as Europe/Berlin');

const Amount = z.string().transform((text, context) => {
  try {
    return parseNanos(text);
  } catch {
    context.addIssue({ code: 'custom', message: 'is not an amount such as 250.00' });
    return z.NEVER;
  }
});
const Window = Text.refine(isDuration, 'is not a duration such as 1d, 7d or 30d');

const ESDB_URL =
  /^esdb(\+discover)?:\/\/([^\s@/?:,]+:[^\s@/?,]*@)?[^\s@/?,:]+(:\d{1,5})?(,[^\s@/?,:]+(:\d{1,5})?)*\/?(\?\S*)?$/;

export const Environment = z.object({
  /** Port of the gateway, the API and Swagger; 0 takes a free one. */
  PORT: Whole(0, 65_535).default(4000),
  /** Address to listen on; 0.0.0.0 inside a container. */
  HOST: Text.default('127.0.0.1'),
  /** Where the embedded database, the drawn master key and the instance lock live. */
  KEYLEDGER_DATA_DIR: Text.optional(),
  /** Folder of the plan files; plans/ of this package when left out. */
  KEYLEDGER_PLANS_DIR: Text.optional(),
  /** The administrator's key; drawn and kept in the data folder when the upstream is simulated. */
  LITELLM_MASTER_KEY: z.string().optional(),
  /** Secret from which repeated answers and encryption follow; the master key when left out. */
  LITELLM_SALT_KEY: Text.optional(),
  /** Postgres; embedded when left out. */
  DATABASE_URL: z.url({ protocol: /^postgres(ql)?$/, error: 'is not a postgresql:// address' }).optional(),
  /** Where the log is: in Postgres beside everything else, or in EventStoreDB. */
  EVENT_STORE: z.enum(['postgres', 'eventstoredb']).default('postgres'),
  /** EventStoreDB with its hosts, credentials and TLS, as its client reads it. */
  EVENTSTOREDB_URL: z
    .string()
    .trim()
    .regex(ESDB_URL, 'is not an esdb:// address such as esdb://user:password@host:2113?tls=true')
    .refine((url) => !/throwOnAppendFailure/i.test(url), 'must not set throwOnAppendFailure')
    .optional(),
  POSTGRES_USER: Text.optional(),
  POSTGRES_PASSWORD: z.string().optional(),
  POSTGRES_DB: Text.optional(),
  POSTGRES_HOST: Text.default('localhost'),
  POSTGRES_PORT: Whole(1, 65_535).default(5432),
  /** An OpenAI-compatible endpoint; simulated when left out. */
  UPSTREAM_BASE_URL: z.url({ protocol: /^https?$/, error: 'is not an http(s):// address' }).optional(),
  UPSTREAM_API_KEY: z.string().optional(),
  /** Cap on completion tokens for requests that name none. */
  MAX_OUTPUT_TOKENS: Whole(1, 1_000_000).default(MAX_OUTPUT_TOKENS_DEFAULT),
  /** Whether the first start fills the installation with the demo. */
  KEYLEDGER_DEMO: Flag.default(true),
  SIMULATED_LATENCY_MS: Whole(0, 600_000).default(20),
  SIMULATED_CHUNK_DELAY_MS: Whole(0, 60_000).default(5),
  SIMULATED_CHUNK_COUNT: Whole(1, 10_000).default(32),
  /** Fault rules of the simulated upstream; see src/demo/simulated-upstream.ts. */
  SIMULATED_FAULTS: z.string().default(''),
  LOG_LEVEL: z.enum(['fatal', 'error', 'warn', 'info', 'debug', 'silent']).optional(),
  /** What the administrator signs in to the console with; `admin` and the master key when left out. */
  UI_USERNAME: z.string().optional(),
  UI_PASSWORD: z.string().optional(),
  /** HTTP status of a spent budget. OpenAI SDKs repeat a 429 by themselves, hence 422. */
  BUDGET_EXCEEDED_STATUS_CODE: Whole(400, 499).optional(),
  /** What the whole installation may spend, all tenants and the administrator together; unlimited when left out. */
  INSTALLATION_BUDGET: Amount.optional(),
  /** Window of that budget, on the calendar: 1d, 30d; for ever when left out. */
  INSTALLATION_BUDGET_WINDOW: Window.optional(),
  /** Requests in flight at once, of everybody together. */
  INSTALLATION_PARALLEL_REQUESTS: Whole(0, 1_000_000).optional(),
  /** Proxies in front, by address or network, comma separated: theirs is the word on who a client is. */
  TRUSTED_PROXIES: Networks.default([]),
  /** Largest request body. */
  BODY_BYTES_MAX: Whole(1_024, 100_000_000).default(4 * 1024 * 1024),
  /** Most connections to Postgres. */
  DATABASE_POOL_MAX: Whole(10, 200).default(16),
  /** One US dollar in the agency's currency: with it, well-known models have costs that nobody stated. */
  MODEL_PRICES_USD_RATE: z
    .string()
    .regex(/^(?!0*\.?0*$)\d{1,7}(\.\d{1,9})?$/, 'is not a rate such as 0.92')
    .optional(),
  /** Spend records waiting for the log before new requests are refused; about two kilobytes of memory and disk each. */
  SPEND_WAITING_MAX: Whole(1, 1_000_000).default(100_000),
  /** How long answers go on, from the spool alone, while the log cannot be reached; 0 stops them after 5 s. */
  LOG_OUTAGE_SECONDS_MAX: Whole(0, 86_400).default(900),
  /** How long a stopping server lets running requests finish. */
  SHUTDOWN_GRACE_MS: Whole(0, 600_000).default(30_000),
  /** How often the log is sealed; 0 never. The close of a period is sealed at once. */
  AUDIT_SEAL_MINUTES: Whole(0, 10_080).default(60),
  /** Ed25519 private key that signs seals, as PEM or the path of a file; drawn and kept in the data folder when left out. */
  AUDIT_SIGNING_KEY: Text.optional(),
  /** The key before it, so that it can hand over. */
  AUDIT_SIGNING_KEY_PREVIOUS: Text.optional(),
  /** The agency: who issues the invoices. */
  AGENCY_NAME: Text.optional(),
  AGENCY_STREET: Text.optional(),
  AGENCY_POSTAL_CODE: Text.optional(),
  AGENCY_CITY: Text.optional(),
  AGENCY_COUNTRY: Text.default('DE'),
  AGENCY_EMAIL: Text.optional(),
  AGENCY_VAT_ID: Text.optional(),
  AGENCY_TAX_NUMBER: Text.optional(),
  /** Whom to ask about an invoice, and where. XRechnung wants both. */
  AGENCY_CONTACT: Text.optional(),
  AGENCY_PHONE: Text.optional(),
  /** Where invoices are paid. */
  AGENCY_IBAN: Text.optional(),
  AGENCY_BIC: Text.optional(),
  AGENCY_BANK: Text.optional(),
  AGENCY_PAYMENT_DAYS: Whole(0, 365).default(14),
  /** Foot of a letter: commercial register, managing directors, site. */
  AGENCY_REGISTER: Text.optional(),
  AGENCY_MANAGEMENT: Text.optional(),
  AGENCY_WEBSITE: Text.optional(),
  /** Where VAT ids are checked. */
  VIES_URL: z
    .url({ protocol: /^https?$/, error: 'is not an http(s):// address' })
    .default('https://ec.europa.eu/taxation_customs/vies/rest-api'),
  /** Where Stripe is. */
  STRIPE_URL: z
    .url({ protocol: /^https?$/, error: 'is not an http(s):// address' })
    .default('https://api.stripe.com'),
  /** Mail server, such as smtps://user:password@host:465; no mail is sent when left out. */
  SMTP_URL: z.url({ protocol: /^smtps?$/, error: 'is not an smtp(s):// address' }).optional(),
  /** Sender of mails; the agency's own address when left out. */
  MAIL_FROM: Text.optional(),
  /** Hosts, separated by commas, that alerts may be sent to although they are not public. */
  ALERT_HOSTS_ALLOWED: Text.optional().transform((text) =>
    (text ?? '').split(/[\s,]+/).filter((host) => host !== ''),
  ),
  /** Address of this server as others reach it, for links in mails; without it mails hold none to it. */
  PUBLIC_URL: z.url({ protocol: /^https?$/, error: 'is not an http(s):// address' }).optional(),
  AGENCY_ZONE: Zone.default('Europe/Berlin'),
  AGENCY_CURRENCY: z
    .string()
    .regex(/^[A-Z]{3}$/, 'is not a currency code such as EUR')
    .default('EUR'),
  AGENCY_INVOICE_SERIES: z
    .string()
    .regex(/^[A-Z0-9]{1,10}$/, 'is not 1 to 10 capital letters or digits')
    .default('RE'),
});

export type Settings = z.infer<typeof Environment>;

function isDuration(text: string): boolean {
  try {
    parseDuration(text);
    return true;
  } catch {
    return false;
  }
}
