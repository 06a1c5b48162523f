import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Client } from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { removeEmbeddedPostgres, startEmbeddedPostgres } from '../src/embedded-postgres.ts';

const isRoot = process.getuid?.() === 0;

/** Holds the data of a server that was started once and stopped in order. */
let before: string;
let folder: string;
let dataDir: string;

beforeAll(async () => {
  before = await mkdtemp(join(tmpdir(), 'keyledger-embedded-'));
  await chmod(before, 0o755);
  await (await startEmbeddedPostgres({ dataDir: join(before, 'postgres'), durable: false })).stop();
});
afterAll(() => rm(before, { recursive: true, force: true }));

/** Making a cluster takes PostgreSQL a second; copying one with its owners a tenth of it. */
async function startedBefore(): Promise<void> {
  await promisify(execFile)('cp', ['-a', join(before, 'postgres'), dataDir]);
}

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'keyledger-embedded-'));
  // mkdtemp closes its folder to others; most tests are about a machine where it is not.
  await chmod(folder, 0o755);
  dataDir = join(folder, 'postgres');
});

afterEach(async () => {
  await removeEmbeddedPostgres(dataDir);
  await rm(folder, { recursive: true, force: true });
});

async function query(url: string, statement: string): Promise<unknown> {
  const client = new Client({ connectionString: url });
  client.on('error', () => {});
  await client.connect();
  try {
    const { rows } = await client.query({ text: statement, rowMode: 'array' });
    return rows[0]?.[0];
  } finally {
    await client.end();
  }
}

/** Waits until a process is gone, also when nobody collects it. */
async function gone(pid: number): Promise<void> {
  const running = async (): Promise<boolean> => {
    const status = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
    return status !== '' && !status.includes(') Z ');
  };
  await expect.poll(running, { timeout: 10_000 }).toBe(false);
}

describe('a first start', () => {
  test('gives a durable server that only answers on loopback, with a password', async () => {
    const { url, reused, pid } = await startEmbeddedPostgres({ dataDir, durable: true });
    expect(reused).toBe(false);
    expect(pid).toBeGreaterThan(1);
    const settings = {
      fsync: 'on',
      synchronous_commit: 'on',
      full_page_writes: 'on',
      listen_addresses: '127.0.0.1',
      unix_socket_directories: '',
      data_checksums: 'on',
      server_encoding: 'UTF8',
    };
    const names = Object.keys(settings).map((name) => `'${name}', current_setting('${name}')`);
    expect(await query(url, `select json_build_object(${names.join()})`)).toEqual(settings);
    const guess = new URL(url);
    guess.password = 'guess';
    await expect(query(guess.href, 'select 1')).rejects.toMatchObject({ code: '28P01' });
    expect((await stat(join(dataDir, 'password'))).mode & 0o777).toBe(0o600);
  });

  test('is repeated from the beginning when the last one was cut off half-way', async () => {
    await mkdir(join(dataDir, 'cluster.new', 'base'), { recursive: true });
    await writeFile(join(dataDir, 'cluster.new', 'PG_VERSION'), '18\n');
    const { url } = await startEmbeddedPostgres({ dataDir, durable: false });
    expect(await query(url, 'select 1')).toBe(1);
  });

  test('leaves nothing running when it takes too long, and says so', async () => {
    await startedBefore();
    await expect(startEmbeddedPostgres({ dataDir, durable: false, startMsMax: 1 })).rejects.toThrow(
      'in time',
    );
    expect(existsSync(join(dataDir, 'cluster', 'postmaster.pid'))).toBe(false);
  });

  test('shows what PostgreSQL said when it does not start', async () => {
    await startedBefore();
    await rm(join(dataDir, 'cluster', 'global', 'pg_control'));
    await expect(startEmbeddedPostgres({ dataDir, durable: false })).rejects.toThrow('pg_control');
  });

  test('names the trouble when the wanted port is taken', async () => {
    await startedBefore();
    const occupant = createServer().listen(0, '127.0.0.1');
    await once(occupant, 'listening');
    const address = occupant.address();
    const port = typeof address === 'object' ? (address?.port ?? 0) : 0;
    try {
      await expect(startEmbeddedPostgres({ dataDir, port, durable: false })).rejects.toThrow(
        /already in use/i,
      );
    } finally {
      occupant.close();
    }
  });
});

describe('a later start', () => {
  test('resumes the data after an orderly stop', async () => {
    await startedBefore();
    const first = await startEmbeddedPostgres({ dataDir, durable: true });
    await query(first.url, 'create table kept as select 42 as answer');
    await first.stop();
    const second = await startEmbeddedPostgres({ dataDir, durable: true });
    expect(second.reused).toBe(false);
    expect(await query(second.url, 'select answer from kept')).toBe(42);
  });

  test('recovers what was committed before the server was killed, even with sessions open', async () => {
    await startedBefore();
    const first = await startEmbeddedPostgres({ dataDir, durable: true });
    await query(first.url, 'create table kept as select 42 as answer');
    const session = new Client({ connectionString: first.url });
    session.on('error', () => {});
    await session.connect();
    const busy = session.query('select pg_sleep(60)').catch(() => {});
    process.kill(first.pid, 'SIGKILL');
    const second = await startEmbeddedPostgres({ dataDir, durable: true });
    await busy;
    expect(second.reused).toBe(false);
    expect(await query(second.url, 'select answer from kept')).toBe(42);
  });

  test('adopts the server that a killed process left behind', async () => {
    await startedBefore();
    const script = join(import.meta.dirname, 'support', 'start-postgres.mjs');
    const parent = spawn(process.execPath, [script, dataDir], { stdio: ['ignore', 'pipe', 'inherit'] });
    const [line] = await once(parent.stdout, 'data');
    const orphan: { url: string; pid: number } = JSON.parse(String(line));
    await query(orphan.url, 'create table kept as select 42 as answer');
    parent.kill('SIGKILL');
    await once(parent, 'exit');
    const adopted = await startEmbeddedPostgres({ dataDir, durable: true });
    expect(adopted).toMatchObject({ url: orphan.url, pid: orphan.pid, reused: true });
    expect(await query(adopted.url, 'select answer from kept')).toBe(42);
    await adopted.stop();
    await gone(orphan.pid);
  });

  test('replaces a running server that would lose data', async () => {
    await startedBefore();
    const careless = await startEmbeddedPostgres({ dataDir, durable: false });
    const careful = await startEmbeddedPostgres({ dataDir, durable: true });
    expect(careful.reused).toBe(false);
    expect(careful.pid).not.toBe(careless.pid);
    expect(await query(careful.url, 'show fsync')).toBe('on');
  });

  test('leaves a stranger alone that got the process id of the dead server', async () => {
    await startedBefore();
    const first = await startEmbeddedPostgres({ dataDir, durable: false });
    process.kill(first.pid, 'SIGKILL');
    await gone(first.pid);
    const { uid, gid } = await stat(join(dataDir, 'cluster'));
    const stranger = spawn('sleep', ['60'], { stdio: 'ignore', ...(isRoot ? { uid, gid } : {}) });
    const lock = join(dataDir, 'cluster', 'postmaster.pid');
    await writeFile(lock, (await readFile(lock, 'utf8')).replace(/^.*/, String(stranger.pid)));
    try {
      const second = await startEmbeddedPostgres({ dataDir, durable: false });
      expect(second.reused).toBe(false);
      expect(await query(second.url, 'select 1')).toBe(1);
      expect(stranger.exitCode ?? stranger.signalCode).toBeNull();
    } finally {
      stranger.kill();
    }
  });

  test('gets over a lock file that a loss of power emptied', async () => {
    await startedBefore();
    await writeFile(join(dataDir, 'cluster', 'postmaster.pid'), '');
    const second = await startEmbeddedPostgres({ dataDir, durable: false });
    expect(await query(second.url, 'select 1')).toBe(1);
  });
});

test('two servers run side by side with data of their own', async () => {
  await startedBefore();
  const other = join(folder, 'other');
  try {
    const both = await Promise.all([
      startEmbeddedPostgres({ dataDir, durable: false }),
      startEmbeddedPostgres({ dataDir: other, durable: false }),
    ]);
    await query(both[0].url, 'create table only_here as select 1');
    expect(new URL(both[0].url).port).not.toBe(new URL(both[1].url).port);
    expect(new URL(both[0].url).password).not.toBe(new URL(both[1].url).password);
    expect(await query(both[1].url, `select to_regclass('only_here')`)).toBeNull();
  } finally {
    await removeEmbeddedPostgres(other);
  }
});

test.runIf(isRoot)(
  'root below a closed home keeps the data elsewhere, says where, finds it again and removes it',
  async () => {
    await chmod(folder, 0o700);
    const lines: string[] = [];
    const first = await startEmbeddedPostgres({ dataDir, durable: false, log: (line) => lines.push(line) });
    expect(first.dataDir).not.toBe(dataDir);
    expect(lines.join('\n')).toContain(first.dataDir);
    await query(first.url, 'create table kept as select 42 as answer');
    await first.stop();
    const second = await startEmbeddedPostgres({ dataDir, durable: false });
    expect(second.dataDir).toBe(first.dataDir);
    expect(await query(second.url, 'select answer from kept')).toBe(42);
    await removeEmbeddedPostgres(dataDir);
    await gone(second.pid);
    expect([existsSync(dataDir), existsSync(first.dataDir)]).toEqual([false, false]);
  },
);
