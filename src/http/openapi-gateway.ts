/**
 * The gateway's routes, written down: they are served before requests reach this server, so no
 * schema of theirs exists here. Bodies are OpenAI's and are passed on as they are.
 */

const error = {
  description: 'A refusal',
  content: { 'application/json': { schema: { $ref: '#/components/schemas/Error' } } },
};

const refusals = {
  400: { ...error, description: 'Unknown model, malformed JSON, or a parameter that clients may not set' },
  401: { ...error, description: 'No key, or an unknown, blocked or expired one' },
  403: { ...error, description: 'The key may not call this model or route' },
  413: { ...error, description: 'The body is too large' },
  422: { ...error, description: 'A budget is spent (`type` is `budget_exceeded`)' },
  429: { ...error, description: 'A limit per minute or of parallel requests; see retry-after' },
  500: { ...error, description: 'A defect' },
  502: { ...error, description: 'The upstream could not be reached or answered nonsense' },
  503: { ...error, description: 'Usage cannot be recorded, so nothing is served' },
  504: { ...error, description: 'The upstream did not answer in time' },
};

function operation(summary: string, required: readonly string[], properties: object, answers: object) {
  return {
    post: {
      summary,
      tags: ['gateway'],
      security: [{ bearer: [] }],
      requestBody: {
        required: true,
        content: {
          'application/json': {
            schema: {
              type: 'object' as const,
              required: [...required],
              properties,
              additionalProperties: true,
            },
          },
        },
      },
      responses: { 200: { description: 'As the upstream answers', content: answers }, ...refusals },
    },
  };
}

const answer = { 'application/json': { schema: { type: 'object' as const, additionalProperties: true } } };

const chat = operation(
  'Chat completion, streamed or not',
  ['model', 'messages'],
  {
    model: { type: 'string' },
    messages: { type: 'array', items: { type: 'object', additionalProperties: true } },
    stream: { type: 'boolean' },
    user: { type: 'string', description: 'Your end user' },
  },
  { ...answer, 'text/event-stream': { schema: { type: 'string' } } },
);

const embeddings = operation(
  'Embeddings',
  ['model', 'input'],
  { model: { type: 'string' }, input: {}, user: { type: 'string' } },
  answer,
);

export const gatewayPaths = {
  '/v1/chat/completions': chat,
  '/chat/completions': chat,
  '/v1/embeddings': embeddings,
  '/embeddings': embeddings,
};
