/** Between what a stand-in keeps and what the client's own stubs send. */
import { Metadata, type ServiceError, status } from '@grpc/grpc-js';
import shared from '@eventstore/db-client/generated/shared_pb.js';
import streams from '@eventstore/db-client/generated/streams_pb.js';
import type { AppendResult, Expected, Proposed, StandInEvent } from './log.ts';

type ReadResp = InstanceType<typeof streams.ReadResp>;
type AppendResp = InstanceType<typeof streams.AppendResp>;
type AppendOptions = InstanceType<typeof streams.AppendReq.Options>;
type ProposedMessage = InstanceType<typeof streams.AppendReq.ProposedMessage>;
type Identifier = InstanceType<typeof shared.StreamIdentifier>;

const TICKS_PER_MS = 10_000n;

export function nameOf(identifier: Identifier | undefined): string {
  return Buffer.from(identifier?.getStreamName_asU8() ?? []).toString('utf8');
}

export function expectedOf(options: AppendOptions): Expected {
  if (options.hasAny()) return 'any';
  if (options.hasNoStream()) return 'none';
  if (options.hasStreamExists()) return 'exists';
  return Number(options.getRevision());
}

export function proposedOf(message: ProposedMessage): Proposed {
  const metadata = message.getMetadataMap();
  return {
    id: message.getId()?.getString() ?? '',
    type: metadata.get('type') ?? '',
    contentType: metadata.get('content-type') ?? '',
    data: Buffer.from(message.getData_asU8()),
    metadata: Buffer.from(message.getCustomMetadata_asU8()),
  };
}

export function eventMessage(event: StandInEvent): ReadResp {
  const position = String(event.position);
  const id = new shared.UUID();
  id.setString(event.id);
  const recorded = new streams.ReadResp.ReadEvent.RecordedEvent();
  recorded.setId(id);
  recorded.setStreamIdentifier(identifier(event.stream));
  recorded.setStreamRevision(String(event.revision));
  recorded.setCommitPosition(position);
  recorded.setPreparePosition(position);
  recorded.getMetadataMap().set('type', event.type);
  recorded.getMetadataMap().set('content-type', event.contentType);
  recorded.getMetadataMap().set('created', String(BigInt(event.createdMs) * TICKS_PER_MS + 1_234n));
  recorded.setCustomMetadata(event.metadata);
  recorded.setData(event.data);
  const read = new streams.ReadResp.ReadEvent();
  read.setEvent(recorded);
  read.setCommitPosition(position);
  const message = new streams.ReadResp();
  message.setEvent(read);
  return message;
}

function identifier(stream: string): Identifier {
  const value = new shared.StreamIdentifier();
  value.setStreamName(Buffer.from(stream));
  return value;
}

export function confirmation(id: string): ReadResp {
  const confirmed = new streams.ReadResp.SubscriptionConfirmation();
  confirmed.setSubscriptionId(id);
  const message = new streams.ReadResp();
  message.setConfirmation(confirmed);
  return message;
}

export function checkpoint(position: number): ReadResp {
  const mark = new streams.ReadResp.Checkpoint();
  mark.setCommitPosition(String(position));
  mark.setPreparePosition(String(position));
  const message = new streams.ReadResp();
  message.setCheckpoint(mark);
  return message;
}

export function caughtUp(): ReadResp {
  const message = new streams.ReadResp();
  message.setCaughtUp(new streams.ReadResp.CaughtUp());
  return message;
}

export function streamNotFound(stream: string): ReadResp {
  const missing = new streams.ReadResp.StreamNotFound();
  missing.setStreamIdentifier(identifier(stream));
  const message = new streams.ReadResp();
  message.setStreamNotFound(missing);
  return message;
}

/** The answer to an append; an Error when it is answered with a status. */
export function appendAnswer(
  stream: string,
  expected: Expected,
  result: AppendResult,
): AppendResp | Partial<ServiceError> {
  switch (result.kind) {
    case 'deleted':
      return failure(status.FAILED_PRECONDITION, 'stream-deleted', { 'stream-name': stream });
    case 'too-large':
      return failure(status.INVALID_ARGUMENT, 'maximum-append-size-exceeded', {
        'maximum-append-size': '1048576',
      });
    case 'wrong-version':
      return wrongVersion(expected, result.current);
    default:
      return success(result);
  }
}

function success({ kind, events }: Extract<AppendResult, { readonly events: unknown }>): AppendResp {
  const last = events.at(-1)!;
  const done = new streams.AppendResp.Success();
  done.setCurrentRevision(String(last.revision));
  // Of what was there already the server need not know the position.
  if (kind === 'idempotent') done.setNoPosition(new shared.Empty());
  else {
    const position = new streams.AppendResp.Position();
    position.setCommitPosition(String(last.position));
    position.setPreparePosition(String(last.position));
    done.setPosition(position);
  }
  const message = new streams.AppendResp();
  message.setSuccess(done);
  return message;
}

function wrongVersion(expected: Expected, current: number | null): AppendResp {
  const wrong = new streams.AppendResp.WrongExpectedVersion();
  if (current === null) wrong.setCurrentNoStream(new shared.Empty());
  else wrong.setCurrentRevision(String(current));
  if (expected === 'none') wrong.setExpectedNoStream(new shared.Empty());
  else if (expected === 'any') wrong.setExpectedAny(new shared.Empty());
  else if (expected === 'exists') wrong.setExpectedStreamExists(new shared.Empty());
  else wrong.setExpectedRevision(String(expected));
  const message = new streams.AppendResp();
  message.setWrongExpectedVersion(wrong);
  return message;
}

/** A status with the details by which the client tells errors apart. */
export function failure(
  code: status,
  exception: string | null,
  details: Readonly<Record<string, string>> = {},
): Partial<ServiceError> {
  const metadata = new Metadata();
  if (exception !== null) metadata.add('exception', exception);
  for (const [name, value] of Object.entries(details)) metadata.add(name, value);
  return { code, details: exception ?? 'the stand-in was told to fail', metadata };
}

export function isFailure(answer: object): answer is Partial<ServiceError> {
  return 'code' in answer;
}
