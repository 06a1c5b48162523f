import { createHmac } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { newSecret } from './secrets.ts';

/** The configured master key, or the one drawn on the first start and kept, readable by its owner only. */
export function masterKeyOf(configured: string | null, dataDir: string): string {
  if (configured !== null) return configured;
  const file = join(dataDir, 'master-key');
  if (existsSync(file)) return readFileSync(file, 'utf8').trim();
  const drawn = newSecret();
  writeFileSync(file, `${drawn}\n`, { mode: 0o600, flag: 'wx' });
  return drawn;
}

/** From this follow the secrets that a repeated request gets again. Never the salt or master key itself. */
export function serverSecretOf(saltKey: string | undefined, masterKey: string): string {
  return createHmac('sha256', saltKey ?? masterKey)
    .update('keyledger server secret')
    .digest('hex');
}
