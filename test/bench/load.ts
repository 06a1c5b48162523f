/**
 * The load generator: one job at a time, over raw sockets, because an HTTP client would cost more than the proxy
 * that is measured. It reads just enough of an answer to know that it is a 200 and complete. Two modes: a constant
 * number of requests under way, and a constant rate whatever the answers take. In the second, latency counts from
 * the moment a request is written, not from when it was due: the timer's own lateness is not the proxy's.
 */
import { connect, type Socket } from 'node:net';
import { endWithParent, report } from './processes.ts';

export interface Job {
  readonly port: number;
  /** A `#` in it becomes a number below `secrets`, another one for each request. */
  readonly authorization: string;
  /** 1 when left out. */
  readonly secrets?: number;
  readonly body: string;
  readonly durationMs: number;
  /** Under way at the same time, or at most under way when `ratePerSecond` is set. */
  readonly connections: number;
  readonly ratePerSecond: number | null;
}

export interface LoadResult {
  readonly requests: number;
  readonly errors: number;
  readonly requestsPerSecond: number;
  readonly p50Ms: number;
  readonly p90Ms: number;
  readonly p99Ms: number;
  /** Until the first byte of the body. */
  readonly firstByteP50Ms: number;
  readonly firstByteP99Ms: number;
}

interface Connection {
  readonly socket: Socket;
  sentAt: number;
  firstByteAt: number;
  /** Bytes of the body still to come; -1 for chunked, null before the head was read. */
  missing: number | null;
  head: string;
  tail: string;
}

/** A server that only fails must not be hammered for the whole time. */
const ERRORS_MAX = 1000;
const DONE_WITHIN_MS = 10_000;

interface Run {
  readonly job: Job;
  /** The bytes of the next request. */
  readonly request: () => Buffer | string;
  readonly streamed: boolean;
  readonly latencies: number[];
  readonly firstBytes: number[];
  readonly idle: Connection[];
  readonly open: Set<Connection>;
  readonly begun: number;
  readonly done: (result: LoadResult) => void;
  underWay: number;
  errors: number;
  sending: boolean;
  lastEnd: number;
}

function start(job: Job): Promise<LoadResult> {
  const length = Buffer.byteLength(job.body);
  const text =
    `POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1:${job.port}\r\ncontent-type: application/json\r\n` +
    `authorization: ${job.authorization}\r\ncontent-length: ${length}\r\n\r\n${job.body}`;
  const request = requestsOf(text, job.secrets ?? 1);
  return new Promise((done) => {
    const run: Run = {
      job,
      request,
      streamed: job.body.includes('"stream":true'),
      latencies: [],
      firstBytes: [],
      idle: [],
      open: new Set(),
      begun: performance.now(),
      done,
      underWay: 0,
      errors: 0,
      sending: true,
      lastEnd: 0,
    };
    setTimeout(() => stop(run), job.durationMs);
    if (job.ratePerSecond !== null) keepRate(run, 1000 / job.ratePerSecond);
    else for (let i = 0; i < job.connections; i += 1) send(run, openConnection(run));
  });
}

function requestsOf(text: string, secrets: number): () => Buffer | string {
  const [before = '', after] = text.split('#', 2);
  const bytes = Buffer.from(text);
  if (secrets === 1 || after === undefined) return () => bytes;
  let next = 0;
  return () => {
    next = (next + 1) % secrets;
    return before + next + after;
  };
}

function keepRate(run: Run, gapMs: number): void {
  let due = run.begun;
  const tick = (): void => {
    if (!run.sending) return;
    for (; due <= performance.now(); due += gapMs) {
      const connection = run.idle.pop() ?? (run.open.size < run.job.connections ? openConnection(run) : null);
      if (connection === null) run.errors += 1;
      else send(run, connection);
    }
    setTimeout(tick, Math.max(0, due - performance.now()));
  };
  tick();
}

function send(run: Run, connection: Connection): void {
  connection.sentAt = performance.now();
  connection.firstByteAt = 0;
  connection.missing = null;
  connection.head = '';
  connection.tail = '';
  run.underWay += 1;
  connection.socket.write(run.request());
}

function openConnection(run: Run): Connection {
  const socket = connect(run.job.port, '127.0.0.1');
  socket.setNoDelay(true);
  const connection: Connection = { socket, sentAt: 0, firstByteAt: 0, missing: null, head: '', tail: '' };
  run.open.add(connection);
  socket.on('data', (data: Buffer) => {
    const good = read(connection, data, run.streamed);
    if (good !== null) ended(run, connection, good);
  });
  // 'close' follows, and is what counts.
  socket.on('error', () => {});
  socket.on('close', () => {
    run.open.delete(connection);
    const place = run.idle.indexOf(connection);
    if (place !== -1) run.idle.splice(place, 1);
    else if (run.sending || run.underWay > 0)
      ended(run, run.sending ? openConnection(run) : connection, false);
  });
  return connection;
}

function ended(run: Run, connection: Connection, good: boolean): void {
  const now = performance.now();
  run.underWay -= 1;
  run.lastEnd = now;
  if (good) {
    run.latencies.push(now - connection.sentAt);
    run.firstBytes.push(connection.firstByteAt - connection.sentAt);
  } else run.errors += 1;
  if (run.errors > ERRORS_MAX) run.sending = false;
  if (!run.sending) finishWhenIdle(run);
  else if (run.job.ratePerSecond === null) send(run, connection);
  else run.idle.push(connection);
}

function stop(run: Run): void {
  run.sending = false;
  finishWhenIdle(run);
  setTimeout(() => {
    run.errors += run.underWay;
    run.underWay = 0;
    finishWhenIdle(run);
  }, DONE_WITHIN_MS).unref();
}

function finishWhenIdle(run: Run): void {
  if (run.underWay > 0) return;
  for (const { socket } of run.open) socket.destroy();
  run.done(summary(run));
}

/** Takes in a piece of an answer: null while it goes on, else whether it was good. */
function read(connection: Connection, data: Buffer, streamed: boolean): boolean | null {
  let body = data;
  if (connection.missing === null) {
    connection.head += data.toString('latin1');
    const end = connection.head.indexOf('\r\n\r\n');
    if (end === -1) return null;
    const length = /\r\ncontent-length: *(\d+)/i.exec(connection.head.slice(0, end + 2))?.[1];
    connection.missing = length === undefined ? -1 : Number(length);
    body = Buffer.from(connection.head.slice(end + 4), 'latin1');
  }
  if (connection.firstByteAt === 0 && body.length > 0) connection.firstByteAt = performance.now();
  const good = connection.head.startsWith('HTTP/1.1 200');
  if (connection.missing >= 0) {
    connection.missing -= body.length;
    if (connection.missing > 0) return null;
    return good;
  }
  // The end of a chunked body; no event and no JSON ends like this.
  connection.tail = (connection.tail + body.toString('latin1', Math.max(0, body.length - 64))).slice(-64);
  if (!connection.tail.endsWith('\r\n0\r\n\r\n')) return null;
  return good && (!streamed || connection.tail.includes('data: [DONE]'));
}

function summary({ latencies, firstBytes, errors, begun, lastEnd }: Run): LoadResult {
  latencies.sort((a, b) => a - b);
  firstBytes.sort((a, b) => a - b);
  return {
    requests: latencies.length,
    errors,
    requestsPerSecond: (latencies.length * 1000) / Math.max(lastEnd - begun, 1),
    p50Ms: quantile(latencies, 0.5),
    p90Ms: quantile(latencies, 0.9),
    p99Ms: quantile(latencies, 0.99),
    firstByteP50Ms: quantile(firstBytes, 0.5),
    firstByteP99Ms: quantile(firstBytes, 0.99),
  };
}

function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

if (process.send !== undefined) {
  process.on('message', (job: Job) => {
    void start(job).then(report);
  });
  endWithParent();
  report({ ready: true });
}
