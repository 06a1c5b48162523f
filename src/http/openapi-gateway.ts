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

const model = { type: 'string' };
const stream = { type: 'boolean' };
const text = { type: 'string' };
const streamed = { ...answer, 'text/event-stream': { schema: { type: 'string' as const } } };
const audio = { 'audio/*': { schema: { type: 'string' as const, format: 'binary' as const } } };

function upload(summary: string) {
  const properties = { model, file: { type: 'string', format: 'binary' }, stream };
  const { post } = operation(summary, ['model', 'file'], properties, streamed);
  const schema = post.requestBody.content['application/json'].schema;
  return {
    post: { ...post, requestBody: { required: true, content: { 'multipart/form-data': { schema } } } },
  };
}

const operations = {
  'chat/completions': chat,
  embeddings,
  completions: operation(
    'Completion, the older API',
    ['model', 'prompt'],
    { model, prompt: {}, stream },
    streamed,
  ),
  responses: operation(
    'Response, streamed or not',
    ['model', 'input'],
    { model, input: {}, stream },
    streamed,
  ),
  messages: operation(
    "Message in Anthropic's form, streamed or not",
    ['model', 'messages', 'max_tokens'],
    { model, messages: { type: 'array', items: {} }, max_tokens: { type: 'integer' }, stream },
    streamed,
  ),
  moderations: operation('Moderation', ['input'], { model, input: {} }, answer),
  'images/generations': operation(
    'Images; a price per image, or for tokens where the upstream reports them',
    ['prompt'],
    { model, prompt: text, n: { type: 'integer' }, stream },
    streamed,
  ),
  'audio/transcriptions': upload('Transcription; a price per second, or for tokens'),
  'audio/translations': upload('Translation of speech into English; a price per second, or for tokens'),
  'audio/speech': operation(
    'Speech; a price per character',
    ['model', 'input'],
    { model, input: text },
    audio,
  ),
  rerank: operation(
    'Reranking; a price per search, or for tokens',
    ['model', 'query', 'documents'],
    { model, query: text, documents: { type: 'array', items: {} } },
    answer,
  ),
};

/** Each route under its two usual spellings. `/engines/{model}/…` and `/openai/deployments/{model}/…` exist too. */
export const gatewayPaths = Object.fromEntries(
  Object.entries(operations).flatMap(([name, operationOf]) => [
    [`/v1/${name}`, operationOf],
    [`/${name}`, operationOf],
  ]),
);
