/** How a stand-in answers reads and subscriptions: pages and filters, checkpoints, waiting for what comes. */
import { type ServerWritableStream, status } from '@grpc/grpc-js';
import streams from '@eventstore/db-client/generated/streams_pb.js';
import type { Faults } from './faults.ts';
import type { StandInEvent, StandInLog } from './log.ts';
import {
  caughtUp,
  checkpoint,
  confirmation,
  eventMessage,
  failure,
  nameOf,
  streamNotFound,
} from './messages.ts';

type ReadReq = InstanceType<typeof streams.ReadReq>;
type ReadResp = InstanceType<typeof streams.ReadResp>;
type Options = InstanceType<typeof streams.ReadReq.Options>;
type Call = ServerWritableStream<ReadReq, ReadResp>;

/** An open subscription, for those who end it from outside. */
export interface Subscribed {
  /** Ends it as a server does that shuts down: without an error. */
  end(): void;
  fail(code: status): void;
  /** Stops bringing anything, without ending. */
  mute(): void;
}

export interface ReadingContext {
  readonly log: StandInLog;
  readonly faults: Faults;
  readonly subscribed: Set<Subscribed>;
  readonly calls: { sent: number };
}

const BACKWARDS = streams.ReadReq.Options.ReadDirection.BACKWARDS;
/** Events that a subscription without a window of its own looks at in one go. */
const WINDOW = 32;

export function answerRead(context: ReadingContext, call: Call): void {
  const options = call.request.getOptions()!;
  if (options.hasSubscription()) {
    void subscribe(context, call, options).catch(() => fail(call, status.UNKNOWN));
    return;
  }
  const fault = context.faults.reads.shift();
  if (fault === 'hang') return;
  if (fault === 'unavailable') return fail(call, status.UNAVAILABLE);
  void send(context, call, options).then(
    () => {
      if (fault !== 'never-end') call.end();
    },
    () => fail(call, status.UNKNOWN),
  );
}

function fail(call: Call, code: status, exception: string | null = null): void {
  call.emit('error', failure(code, exception, { 'stream-name': '' }));
}

async function send({ log }: ReadingContext, call: Call, options: Options): Promise<void> {
  const found = options.hasStream() ? ofStream(log, options) : ofAll(log, options);
  if (typeof found === 'string') {
    if (found === 'deleted') return fail(call, status.FAILED_PRECONDITION, 'stream-deleted');
    return void call.write(streamNotFound(nameOf(options.getStream()?.getStreamIdentifier())));
  }
  const count = Number(options.getCount());
  for (const event of found.slice(0, count)) await write(call, eventMessage(event));
}

function ofStream(log: StandInLog, options: Options): readonly StandInEvent[] | 'deleted' | 'missing' {
  const stream = options.getStream()!;
  const events = log.read(nameOf(stream.getStreamIdentifier()));
  if (events === null) return 'missing';
  if (events === 'deleted') return 'deleted';
  const revision = stream.hasRevision() ? Number(stream.getRevision()) : null;
  if (options.getReadDirection() === BACKWARDS) {
    return events.filter((event) => revision === null || event.revision <= revision).toReversed();
  }
  if (stream.hasEnd()) return [];
  return events.filter((event) => revision === null || event.revision >= revision);
}

/** Forwards from a position includes it, backwards does not. */
function ofAll({ events }: StandInLog, options: Options): readonly StandInEvent[] {
  const all = options.getAll()!;
  const position = all.hasPosition() ? Number(all.getPosition()!.getCommitPosition()) : null;
  if (position !== null) mustBeBoundary(events, position);
  if (options.getReadDirection() === BACKWARDS) {
    const to = position === null ? events.length : firstBehind(events, position - 1);
    return all.hasStart() ? [] : events.slice(0, to).toReversed();
  }
  if (all.hasEnd()) return [];
  return position === null ? events : events.slice(firstBehind(events, position - 1));
}

/** A server that is asked to read in the middle of a record fails. */
function mustBeBoundary(events: readonly StandInEvent[], position: number): void {
  const index = firstBehind(events, position - 1);
  if (events[index]?.position !== position) throw new Error('the log has no record there');
}

function firstBehind(events: readonly StandInEvent[], position: number): number {
  let [low, high] = [0, events.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (events[middle]!.position > position) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** Brings what is there, says that it has caught up, and goes on with what comes. */
async function subscribe(context: ReadingContext, call: Call, options: Options): Promise<void> {
  const { log, faults, subscribed } = context;
  const fault = faults.subscriptions.shift();
  if (fault === 'unavailable') return fail(call, status.UNAVAILABLE);
  const over = new AbortController();
  let muted = fault === 'silent';
  let wake = (): void => {};
  const stop = (): void => {
    over.abort();
    wake();
  };
  const handle: Subscribed = {
    end() {
      stop();
      call.end();
    },
    fail(code) {
      stop();
      fail(call, code);
    },
    mute() {
      muted = true;
    },
  };
  subscribed.add(handle);
  call.once('cancelled', stop);
  call.once('close', stop);
  const quiet = log.onGrown(() => wake());
  try {
    let next = firstOf(log, options);
    if (typeof fault === 'object') next = Math.max(0, next - fault.redeliver);
    const wanted = filterOf(options);
    const filter = options.getFilter();
    const window = (filter?.getMax() || WINDOW) * (filter?.getCheckpointintervalmultiplier() || 1);
    let looked = 0;
    let live = false;
    await write(call, confirmation(`subscription-${subscribed.size}`));
    while (!over.signal.aborted) {
      if (muted || next === log.events.length) {
        if (!muted && !live) await write(call, caughtUp());
        live ||= !muted;
        if (over.signal.aborted || (!muted && next < log.events.length)) continue;
        await new Promise<void>((resolve) => (wake = resolve));
        continue;
      }
      if (live && log.events.length - next > faults.slowReaderMax) return handle.fail(status.ABORTED);
      const event = log.events[next]!;
      next += 1;
      looked += 1;
      if (wanted(event)) {
        context.calls.sent += 1;
        await write(call, eventMessage(event));
      }
      if (filter !== undefined && looked % window === 0) await write(call, checkpoint(event.position));
    }
  } finally {
    quiet();
    subscribed.delete(handle);
  }
}

function firstOf(log: StandInLog, options: Options): number {
  const all = options.getAll()!;
  if (all.hasEnd()) return log.events.length;
  if (!all.hasPosition()) return 0;
  const position = Number(all.getPosition()!.getCommitPosition());
  mustBeBoundary(log.events, position);
  return firstBehind(log.events, position);
}

function filterOf(options: Options): (event: StandInEvent) => boolean {
  const filter = options.getFilter();
  if (filter === undefined) return () => true;
  const byType = filter.getEventType();
  const expression = byType ?? filter.getStreamIdentifier()!;
  const pattern = expression.getRegex() === '' ? null : new RegExp(expression.getRegex());
  const prefixes = expression.getPrefixList();
  return ({ type, stream }) => {
    const text = byType === undefined ? stream : type;
    return pattern?.test(text) ?? prefixes.some((prefix) => text.startsWith(prefix));
  };
}

async function write(call: Call, message: ReadResp): Promise<void> {
  if (call.cancelled || call.destroyed) throw new Error('nobody listens');
  if (call.write(message)) return;
  await new Promise<void>((resolve) => {
    const events = ['drain', 'close', 'cancelled'] as const;
    const go = (): void => {
      for (const event of events) call.off(event, go);
      resolve();
    };
    for (const event of events) call.on(event, go);
  });
}
