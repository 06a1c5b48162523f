#!/usr/bin/env node
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs, parseEnv } from 'node:util';
import type { CommandContext, StopSignals } from './commands/context.ts';
import { type Config, readConfig } from './config.ts';
import { createLog } from './log.ts';

/**
 * Names to commands. The only file that sees the environment and the arguments. A command is loaded
 * when it is called: what serving needs is three times what the others do.
 */
interface Command {
  readonly words: readonly string[];
  readonly usage: string;
  readonly run: (context: CommandContext) => Promise<number>;
}

const commands: readonly Command[] = [
  {
    words: ['start'],
    usage: `start [--config litellm_config.yaml]        serve
    [--workers <n>]                           with so many processes on one port`,
    run: async (context) => (await import('./commands/start.ts')).startCommand(context),
  },
  {
    words: ['reset'],
    usage: 'reset                                       remove the embedded data',
    run: async (context) => (await import('./commands/reset.ts')).resetCommand(context),
  },
  {
    words: ['plans:check'],
    usage: 'plans:check [--json]                        check plans/*.yaml',
    run: async (context) => (await import('./commands/plans.ts')).plansCheck(context),
  },
  {
    words: ['plans:diff'],
    usage: 'plans:diff <name> [from] [to] [--json]      what differs: published versions, or file',
    run: async (context) => (await import('./commands/plans.ts')).plansDiff(context),
  },
  {
    words: ['invoice', 'run'],
    usage: `invoice run <YYYY-MM> [--agency <id>] [--json]   close the month, finalise its invoices
    [--dry-run]                               only say what they would be`,
    run: async (context) => (await import('./commands/invoice.ts')).invoiceRun(context),
  },
  {
    words: ['invoice', 'document'],
    usage: `invoice document <number> --out <file>      the PDF of an invoice or Stornorechnung
    [--format pdf|cii|xrechnung-cii|xrechnung-ubl|statement-csv|statement-pdf]`,
    run: async (context) => (await import('./commands/invoice.ts')).invoiceDocument(context),
  },
  {
    words: ['invoice', 'verify'],
    usage: 'invoice verify <number> [--json]            compute an invoice again from the log',
    run: async (context) => (await import('./commands/invoice.ts')).invoiceVerify(context),
  },
  {
    words: ['invoice', 'export'],
    usage: `invoice export <YYYY-MM> [--agency <id>]     invoices dated in a month, for accounting
    [--format datev|csv] [--out <file>]      to standard output unless a file is named`,
    run: async (context) => (await import('./commands/invoice.ts')).invoiceExport(context),
  },
  {
    words: ['audit', 'key'],
    usage: 'audit key <id> [--at <instant>] [--json]    replay one key from the log',
    run: async (context) => (await import('./commands/audit.ts')).auditKey(context),
  },
  {
    words: ['audit', 'verify'],
    usage: `audit verify [--json]                       check the whole log, its seals and every read model
    [--from <n>] [--to <n>]                   a part of the log
    [--offline <bundle>]                      an export, without database and network
    [--public-key <file>] [--expect <hash>]   the key to trust; a seal or event that must be there`,
    run: async (context) => (await import('./commands/audit.ts')).auditVerify(context),
  },
  {
    words: ['audit', 'export'],
    usage: `audit export --all [--out <file>]           the log and what lies beside it, as JSON lines
    --tenant <id> | --key <id> | --invoice <number>   what concerns it, with proofs`,
    run: async (context) => (await import('./commands/export.ts')).auditExport(context),
  },
  {
    words: ['audit', 'rotate-key'],
    usage: 'audit rotate-key [--force]                  sign seals with another key from here on',
    run: async (context) => (await import('./commands/audit.ts')).auditRotateKey(context),
  },
  {
    words: ['import'],
    usage: 'import <bundle>                             replay a full export into an empty installation',
    run: async (context) => (await import('./commands/import.ts')).importCommand(context),
  },
  {
    words: ['rebuild'],
    usage: 'rebuild <projection>                        fill a read model anew beside the live one',
    run: async (context) => (await import('./commands/rebuild.ts')).rebuildCommand(context),
  },
];

const USAGE = `keyledger <command>\n\n${commands.map(({ usage }) => `  ${usage}`).join('\n')}\n`;

function readArguments() {
  return parseArgs({
    allowPositionals: true,
    options: {
      config: { type: 'string' },
      agency: { type: 'string' },
      at: { type: 'string' },
      from: { type: 'string' },
      to: { type: 'string' },
      offline: { type: 'string' },
      'public-key': { type: 'string' },
      expect: { type: 'string', multiple: true, default: [] },
      tenant: { type: 'string' },
      key: { type: 'string' },
      invoice: { type: 'string' },
      all: { type: 'boolean', default: false },
      out: { type: 'string' },
      format: { type: 'string' },
      force: { type: 'boolean', default: false },
      'dry-run': { type: 'boolean', default: false },
      workers: { type: 'string' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
}

function optionsOf(values: ReturnType<typeof readArguments>['values']): CommandContext['options'] {
  const { 'public-key': publicKey, 'dry-run': dryRun, ...rest } = values;
  return { ...rest, publicKey, dryRun };
}

async function main(): Promise<number> {
  const { values, positionals } = readArguments();
  const command = commands.find(({ words }) => words.every((word, i) => positionals[i] === word));
  if (command === undefined || values.help) {
    const unknown =
      command === undefined && positionals.length > 0
        ? `There is no command ${positionals.join(' ')}.\n\n`
        : '';
    (values.help ? process.stdout : process.stderr).write(unknown + USAGE);
    return values.help ? 0 : 2;
  }
  const root = packageRoot();
  const config = configOf(root, values.config);
  return command.run({
    config,
    log: createLog(config.settings.LOG_LEVEL ?? (config.deployments === null ? 'warn' : 'info')),
    root,
    version: versionOf(root),
    args: positionals.slice(command.words.length),
    options: optionsOf(values),
    say: (line) => void process.stdout.write(`${line}\n`),
    put: async (text) => {
      if (!process.stdout.write(text)) await once(process.stdout, 'drain');
    },
    progress: (line) => void (process.stderr.isTTY && process.stderr.write(`\r\u001b[K${line}`)),
    signals: stopSignals,
    exit: (code) => process.exit(code),
  });
}

/** One Ctrl-C may come twice: from the terminal, and from npm, which passes it on. */
const SAME_SIGNAL_MS = 500;

function stopSignals(): StopSignals {
  let first = (_signal: string): void => {};
  let second = (_signal: string): void => {};
  let askedMs: number | null = null;
  for (const signal of ['SIGINT', 'SIGTERM']) {
    process.on(signal, () => {
      const nowMs = performance.now();
      if (askedMs === null) first(signal);
      else if (nowMs - askedMs > SAME_SIGNAL_MS) second(signal);
      askedMs ??= nowMs;
    });
  }
  return {
    stopped: new Promise((resolve) => (first = resolve)),
    hurried: new Promise((resolve) => (second = resolve)),
  };
}

/** The folder with package.json, whether this runs from src/ or from dist/. */
function packageRoot(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, 'package.json'))) folder = dirname(folder);
  return folder;
}

function versionOf(root: string): string {
  return (JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string }).version;
}

/** The environment wins over a `.env` file in the working directory. */
function configOf(root: string, configPath: string | undefined): Config {
  const dotenv = existsSync('.env') ? parseEnv(readFileSync('.env', 'utf8')) : {};
  const environment = { ...dotenv, ...process.env };
  const path = configPath ?? environment['KEYLEDGER_CONFIG'];
  if (path !== undefined && path !== '' && !existsSync(path)) {
    throw new Error(`There is no config file ${resolve(path)}.`);
  }
  const file =
    path === undefined || path === '' ? undefined : { name: path, text: readFileSync(resolve(path), 'utf8') };
  return readConfig(environment, join(root, '.keyledger'), file);
}

process.on('unhandledRejection', (error) => {
  process.stderr.write(
    `A defect ended the process: ${error instanceof Error ? error.stack : String(error)}\n`,
  );
  process.exit(1);
});

try {
  process.exitCode = await main();
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
