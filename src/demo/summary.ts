import type { DemoKey } from './seed.ts';

/** What somebody who has just started the demo needs to go on, ready to paste. */
export interface SummaryFacts {
  readonly url: string;
  readonly masterKey: string;
  /** What to sign in to the console with, in words. */
  readonly signIn: string;
  readonly key: DemoKey | null;
  readonly tenantId: string;
  /** `YYYY-MM` of today in the agency's zone. */
  readonly period: string;
  /** What a command needs in front to find the same data, such as `KEYLEDGER_DATA_DIR=… `; '' for nothing. */
  readonly prefix: string;
}

export function demoSummary(facts: SummaryFacts): string {
  const { url, masterKey, signIn, tenantId, period, prefix } = facts;
  const key = facts.key ?? { id: 'KEY_ID', secret: 'YOUR_KEY' };
  const shown = facts.key === null ? "the demo's key is gone; make one with POST /key/generate" : key.secret;
  return `
Keyledger is ready.

  Console      ${url}/ui/   (sign in with ${signIn})
  Gateway      ${url}/v1
  API (docs)   ${url}/
  Master key   ${masterKey}
  A key        ${shown}

Send a request:

  curl ${url}/v1/chat/completions \\
    -H "Authorization: Bearer ${key.secret}" \\
    -H "Content-Type: application/json" \\
    -d '{"model": "demo-small", "messages": [{"role": "user", "content": "Hello"}]}'

Or with the OpenAI SDK:

  import OpenAI from "openai";
  const client = new OpenAI({ apiKey: "${key.secret}", baseURL: "${url}/v1" });
  const answer = await client.chat.completions.create({
    model: "demo-small",
    messages: [{ role: "user", content: "Hello" }],
  });

What the key did and cost, replayed from the log, and a check of the whole log:

  ${prefix}npm run -s keyledger -- audit key ${key.id}
  ${prefix}npm run -s keyledger -- audit verify

The customer behind it:

  curl -H "Authorization: Bearer ${masterKey}" ${url}/api/tenants/${tenantId}

This month's invoices (closes ${period}; later usage goes on the next one), then the list:

  ${prefix}npm run -s keyledger -- invoice run ${period}
  curl -H "Authorization: Bearer ${masterKey}" ${url}/api/invoices

Ctrl-C stops the server; the next start goes on with the same data; npm run reset removes it.
`;
}
