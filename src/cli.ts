#!/usr/bin/env node
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs, parseEnv } from 'node:util';
import { auditKey, auditVerify } from './commands/audit.ts';
import type { CommandContext } from './commands/context.ts';
import { invoiceRun } from './commands/invoice.ts';
import { plansCheck } from './commands/plans.ts';
import { rebuildCommand } from './commands/rebuild.ts';
import { resetCommand } from './commands/reset.ts';
import { startCommand } from './commands/start.ts';
import { type Config, readConfig } from './config.ts';
import { createLog } from './log.ts';

/** Names to commands. The only file that sees the environment and the arguments. */
interface Command {
  readonly words: readonly string[];
  readonly usage: string;
  readonly run: (context: CommandContext) => Promise<number>;
}

const commands: readonly Command[] = [
  { words: ['start'], usage: 'start [--config litellm_config.yaml]        serve', run: startCommand },
  {
    words: ['reset'],
    usage: 'reset                                       remove the embedded data',
    run: resetCommand,
  },
  {
    words: ['plans:check'],
    usage: 'plans:check [--json]                        check plans/*.yaml',
    run: plansCheck,
  },
  {
    words: ['invoice', 'run'],
    usage: 'invoice run <YYYY-MM> [--agency <id>] [--json]   close the month, finalise its invoices',
    run: invoiceRun,
  },
  {
    words: ['audit', 'key'],
    usage: 'audit key <id> [--at <instant>] [--json]    replay one key from the log',
    run: auditKey,
  },
  {
    words: ['audit', 'verify'],
    usage: 'audit verify [--json]                       check the whole log and every read model',
    run: auditVerify,
  },
  {
    words: ['rebuild'],
    usage: 'rebuild <projection>                        fill a read model anew beside the live one',
    run: rebuildCommand,
  },
];

const USAGE = `keyledger <command>\n\n${commands.map(({ usage }) => `  ${usage}`).join('\n')}\n`;

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      config: { type: 'string' },
      agency: { type: 'string' },
      at: { type: 'string' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  const command = commands.find(({ words }) => words.every((word, i) => positionals[i] === word));
  if (command === undefined || values.help) {
    (values.help ? process.stdout : process.stderr).write(USAGE);
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
    options: { json: values.json, at: values.at, agency: values.agency },
    say: (line) => void process.stdout.write(`${line}\n`),
    progress: (line) => void (process.stderr.isTTY && process.stderr.write(`\r\u001b[K${line}`)),
    stopped: () =>
      new Promise((done) => {
        process.once('SIGINT', () => done('SIGINT'));
        process.once('SIGTERM', () => done('SIGTERM'));
      }),
  });
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
