import type { FastifyReply, FastifyRequest } from 'fastify';
import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { Refusal } from '../errors.ts';
import { authenticate } from './authenticate.ts';
import type { HttpDeps } from './deps.ts';
import { insightOf } from './insight.ts';
import type { Listener, Listening } from './live-hub.ts';
import { LIVE_TOPICS } from './live-topics.ts';
import { userIdOf } from './permissions.ts';
import { AnyValue, refusalAnswers } from './schemas.ts';

/**
 * One stream of server-sent events per console. Whoever may open it is asked for again with every
 * heartbeat, so it ends soon after the session does, and with a role what it tells changes.
 */
/** What a browser waits before it comes back. */
const RETRY_MS = 2_000;

export function liveRoutes(deps: HttpDeps): FastifyPluginCallbackZod {
  return (app, _options, done) => {
    app.get(
      '/api/live',
      {
        config: { settles: false },
        exposeHeadRoute: false,
        schema: {
          summary: 'Server-sent events that say what has changed, so that it can be read again',
          description:
            'An event `changed` has data `{"topics": [...]}` with some of ' +
            `${LIVE_TOPICS.join(', ')}, about what the caller may see, and a position as its id; at most one a second. ` +
            'An event `ready` comes first, again after every reconnection: what was read before it may be old. ' +
            'An event `ended` says that the session is over. Comments keep the connection alive.',
          tags: ['usage'],
          response: { 200: AnyValue.describe('text/event-stream'), ...refusalAnswers },
        },
      },
      (request, reply) => stream(deps, request, reply),
    );
    done();
  };
}

function stream(deps: HttpDeps, request: FastifyRequest, reply: FastifyReply): void {
  if (!/\btext\/event-stream\b/.test(request.headers.accept ?? '')) {
    const problem = 'This answer is a stream: ask for it with the header "accept: text/event-stream".';
    throw new Refusal('bad_request', { problem }, { param: 'accept' });
  }
  const { raw } = reply;
  let listening: Listening | null = null;
  let stalled = false;
  const send = (text: string): boolean => {
    if (raw.destroyed || raw.writableEnded) return false;
    stalled = !raw.write(text);
    return true;
  };
  const listener: Listener = {
    name: userIdOf(request.caller) ?? '',
    insight: () => insightOf(request.caller),
    tell(topics, position) {
      return !stalled && send(eventOf('changed', { topics }, position));
    },
    end: () => raw.end(),
  };
  listening = deps.live.open(listener);
  if (listening === null) throw new Refusal('too_many_streams', {}, { retryAfterSeconds: 10 });
  reply.hijack();
  raw.writeHead(200, {
    ...(reply.getHeaders() as Record<string, string>),
    'content-type': 'text/event-stream; charset=utf-8',
    // Of proxies in front that would hold back what comes in small pieces.
    'x-accel-buffering': 'no',
  });
  send(`retry: ${RETRY_MS}\n\n`);
  void listening.ready.then(() => send(eventOf('ready', {}, deps.appendedPosition())));
  const heartbeat = setInterval(() => {
    // A client that has taken nothing since the last one is gone.
    if (stalled) raw.destroy();
    else void stillThere(deps, request).then((there) => (there ? send(':\n\n') : leave()));
  }, deps.live.heartbeatMs);
  const leave = (): void => {
    send(eventOf('ended', {}, deps.appendedPosition()));
    raw.end();
  };
  raw.on('drain', () => {
    stalled = false;
    listening.wake();
  });
  raw.on('close', () => {
    clearInterval(heartbeat);
    listening.close();
  });
}

function eventOf(name: string, data: object, position: bigint): string {
  return `id: ${position}\nevent: ${name}\ndata: ${JSON.stringify(data)}\n\n`;
}

/** Whether the caller may still listen; `request.caller` is what they are now. */
async function stillThere(deps: HttpDeps, request: FastifyRequest): Promise<boolean> {
  try {
    await authenticate(deps, request);
    return true;
  } catch (error) {
    // A database that is away for a moment ends nobody's session.
    return !(error instanceof Refusal) || error.status >= 500;
  }
}
