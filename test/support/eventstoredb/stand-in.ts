/**
 * A stand-in for EventStoreDB: a gRPC server made from the client's own stubs that keeps to the
 * server's rules for revisions, repeated ids, deletion, sizes, positions and subscriptions, and shows
 * faults on demand. It knows one node, no users and no TLS.
 */
import {
  Server,
  ServerCredentials,
  type ServerReadableStream,
  type sendUnaryData,
  status,
} from '@grpc/grpc-js';
import gossip from '@eventstore/db-client/generated/gossip_pb.js';
import gossipService from '@eventstore/db-client/generated/gossip_grpc_pb.js';
import features from '@eventstore/db-client/generated/serverfeatures_pb.js';
import featuresService from '@eventstore/db-client/generated/serverfeatures_grpc_pb.js';
import streams from '@eventstore/db-client/generated/streams_pb.js';
import streamsService from '@eventstore/db-client/generated/streams_grpc_pb.js';
import { type AppendFault, type Faults, noFaults } from './faults.ts';
import { type Proposed, type StandInLog, standInLog, type StandInLogOptions } from './log.ts';
import { appendAnswer, expectedOf, failure, isFailure, nameOf, proposedOf } from './messages.ts';
import { answerRead, type Subscribed } from './reading.ts';

export interface StandIn {
  readonly url: string;
  readonly port: number;
  readonly log: StandInLog;
  readonly faults: Faults;
  readonly subscribed: ReadonlySet<Subscribed>;
  /** Appends that reached it, by kind of call, faulty ones included. */
  readonly calls: Calls;
  /** The names under which clients append, read and subscribe. */
  readonly names: Readonly<Record<'appends' | 'reads' | 'subscriptions', Set<string>>>;
  /** Cuts every connection and takes new ones at once. */
  dropConnections(): Promise<void>;
  /** Stops listening, and cuts every connection; `listen` takes it back. */
  goAway(): void;
  listen(): Promise<void>;
  /** Ends it; a log that was given to it stays open. */
  stop(): void;
}

export interface Calls {
  appends: number;
  batchAppends: number;
  reads: number;
  subscriptions: number;
  /** Messages that subscriptions were sent. */
  sent: number;
}

export interface StandInOptions extends Partial<StandInLogOptions> {
  readonly port?: number;
  /** A log that another stand-in serves too, as the nodes of a cluster do. */
  readonly log?: StandInLog;
  /** Where `not-leader` sends the client; itself when left out. */
  readonly leaderPort?: () => number;
}

type AppendReq = InstanceType<typeof streams.AppendReq>;
type AppendResp = InstanceType<typeof streams.AppendResp>;
type AppendCall = ServerReadableStream<AppendReq, AppendResp>;

const HOST = '127.0.0.1';
const LEADER = gossip.MemberInfo.VNodeState.LEADER;

export async function startStandIn(options: StandInOptions = {}): Promise<StandIn> {
  const log = options.log ?? standInLog({ file: null, ...options });
  const faults = noFaults();
  const subscribed = new Set<Subscribed>();
  const calls: Calls = { appends: 0, batchAppends: 0, reads: 0, subscriptions: 0, sent: 0 };
  const names = { appends: new Set<string>(), reads: new Set<string>(), subscriptions: new Set<string>() };
  let port = options.port ?? 0;
  let server: Server | null = null;

  async function append(call: AppendCall, answer: sendUnaryData<AppendResp>): Promise<void> {
    calls.appends += 1;
    names.appends.add(String(call.metadata.get('connection-name')[0]));
    const { stream, expected, proposed } = await collect(call);
    await faults.hold;
    const fault = faults.appends.shift();
    const refused = refusal(fault, options.leaderPort?.() ?? port);
    if (refused !== null) return answer(refused);
    if (fault === 'hang') return;
    const result = appendAnswer(stream, expected, log.append(stream, expected, proposed));
    if (fault === 'write-and-hang') return;
    if (fault === 'lose-answer') return answer(failure(status.UNAVAILABLE, null));
    if (fault === 'time-out') return answer(failure(status.ABORTED, null));
    if (isFailure(result)) answer(result);
    else answer(null, result);
  }

  function build(): Server {
    const built = new Server();
    built.addService(streamsService.StreamsService, {
      append: (call: AppendCall, answer: sendUnaryData<AppendResp>) =>
        void append(call, answer).catch(() => undefined),
      read(call: Parameters<typeof answerRead>[1]) {
        const kind = call.request.getOptions()?.hasSubscription() ? 'subscriptions' : 'reads';
        calls[kind] += 1;
        names[kind].add(String(call.metadata.get('connection-name')[0]));
        answerRead({ log, faults, subscribed, calls }, call);
      },
      batchAppend(call: { end(): void }) {
        calls.batchAppends += 1;
        call.end();
      },
      delete(
        call: { readonly request: InstanceType<typeof streams.DeleteReq> },
        answer: sendUnaryData<InstanceType<typeof streams.DeleteResp>>,
      ) {
        log.softDelete(nameOf(call.request.getOptions()?.getStreamIdentifier()));
        answer(null, new streams.DeleteResp());
      },
      tombstone(
        call: { readonly request: InstanceType<typeof streams.TombstoneReq> },
        answer: sendUnaryData<InstanceType<typeof streams.TombstoneResp>>,
      ) {
        log.tombstone(nameOf(call.request.getOptions()?.getStreamIdentifier()));
        answer(null, new streams.TombstoneResp());
      },
    });
    built.addService(featuresService.ServerFeaturesService, {
      getSupportedMethods: (_: unknown, answer: sendUnaryData<unknown>) => answer(null, supported()),
    });
    built.addService(gossipService.GossipService, {
      read: (_: unknown, answer: sendUnaryData<unknown>) => answer(null, members(port)),
    });
    return built;
  }

  async function listen(): Promise<void> {
    const built = build();
    port = await new Promise<number>((resolve, reject) => {
      built.bindAsync(`${HOST}:${port}`, ServerCredentials.createInsecure(), (error, bound) => {
        if (error === null) resolve(bound);
        else reject(error);
      });
    });
    server = built;
  }

  function goAway(): void {
    for (const one of subscribed) one.mute();
    server?.forceShutdown();
    server = null;
  }

  await listen();
  return {
    get url() {
      return `esdb://${HOST}:${port}?tls=false`;
    },
    get port() {
      return port;
    },
    log,
    faults,
    subscribed,
    calls,
    names,
    async dropConnections() {
      goAway();
      await listen();
    },
    goAway,
    listen,
    stop() {
      goAway();
      if (options.log === undefined) log.close();
    },
  };
}

interface Collected {
  readonly stream: string;
  readonly expected: ReturnType<typeof expectedOf>;
  readonly proposed: readonly Proposed[];
}

async function collect(call: AppendCall): Promise<Collected> {
  const proposed: Proposed[] = [];
  let stream = '';
  let expected: Collected['expected'] = 'any';
  for await (const message of call as AsyncIterable<AppendReq>) {
    const options = message.getOptions();
    if (options === undefined) proposed.push(proposedOf(message.getProposedMessage()!));
    else [stream, expected] = [nameOf(options.getStreamIdentifier()), expectedOf(options)];
  }
  return { stream, expected, proposed };
}

/** What is answered without looking at the append; null when it is looked at. */
function refusal(fault: AppendFault | undefined, leaderPort: number): ReturnType<typeof failure> | null {
  if (fault === 'lose-write') return failure(status.UNAVAILABLE, null);
  if (fault === 'access-denied') return failure(status.PERMISSION_DENIED, 'access-denied');
  if (fault !== 'not-leader') return null;
  return failure(status.NOT_FOUND, 'not-leader', {
    'leader-endpoint-host': HOST,
    'leader-endpoint-port': String(leaderPort),
  });
}

/** It says that it can append in batches, as every server since 21.10 does. */
function supported(): InstanceType<typeof features.SupportedMethods> {
  const answer = new features.SupportedMethods();
  answer.setEventStoreServerVersion('23.10.6');
  for (const [name, can] of [
    ['read', ['position', 'all']],
    ['append', []],
    ['batchappend', ['deadline_duration']],
    ['delete', []],
    ['tombstone', []],
  ] as const) {
    const method = new features.SupportedMethod();
    method.setServiceName('event_store.client.streams.streams');
    method.setMethodName(name);
    method.setFeaturesList([...can]);
    answer.addMethods(method);
  }
  return answer;
}

function members(port: number): InstanceType<typeof gossip.ClusterInfo> {
  const endPoint = new gossip.EndPoint();
  endPoint.setAddress(HOST);
  endPoint.setPort(port);
  const member = new gossip.MemberInfo();
  member.setState(LEADER);
  member.setIsAlive(true);
  member.setHttpEndPoint(endPoint);
  const cluster = new gossip.ClusterInfo();
  cluster.addMembers(member);
  return cluster;
}
