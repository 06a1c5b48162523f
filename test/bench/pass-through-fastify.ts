/** The same proxy as people write it: fastify and undici's `request`, for comparison with the floor. */
import Fastify from 'fastify';
import { Pool } from 'undici';
import { endWithParent, report } from './processes.ts';

const pool = new Pool(process.argv[2] ?? '', { connections: 512, pipelining: 1 });
const app = Fastify({ keepAliveTimeout: 60_000 });
app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (_request, body, done) =>
  done(null, body),
);
app.post<{ Body: Buffer }>('/v1/chat/completions', async (request, reply) => {
  const headers = { 'content-type': 'application/json', authorization: request.headers.authorization ?? '' };
  const answer = await pool.request({ path: request.url, method: 'POST', headers, body: request.body });
  const { 'content-type': type, 'content-length': length } = answer.headers;
  reply.code(answer.statusCode).header('content-type', type);
  if (length !== undefined) reply.header('content-length', length);
  return reply.send(answer.body);
});
const url = await app.listen({ port: 0, host: '127.0.0.1' });
endWithParent();
report({ url });
