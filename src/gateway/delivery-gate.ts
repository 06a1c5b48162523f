import type { SpendWriter, Ticket } from './spend-writer.ts';

/**
 * Lets a streamed answer go out only as far as the spool says it may have gone: should this process
 * be killed, what was delivered is charged by what is on disk. The next stretch is asked for while
 * the current one is going out, so only the very first piece ever waits, and that one was asked for
 * when the head of the answer came.
 */
export interface DeliveryGate {
  /** Sends the events, at once or as soon as they may go. */
  push(events: string): void;
}

export interface DeliveryOptions {
  readonly send: (events: string) => void;
  /** The spool cannot be written: nothing more may go out. */
  readonly refused: (error: Error) => void;
}

/** Completion tokens that are allowed ahead, and so the most that a kill can add to what was delivered. */
const STRETCH_TOKENS = 128;

export function deliveryGate(
  writer: Pick<SpendWriter, 'deliver'>,
  ticket: Ticket,
  { send, refused }: DeliveryOptions,
): DeliveryGate {
  let sentTokens = 0;
  let allowedTokens = 0;
  let askedTokens = 0;
  let waiting = '';
  let waitingTokens = 0;
  ask(STRETCH_TOKENS);

  function ask(tokens: number): void {
    askedTokens = tokens;
    writer.deliver(ticket, tokens, (error) => {
      if (error !== null) return refused(error);
      allowedTokens = tokens;
      if (waiting !== '') sendWaiting();
    });
  }

  function sendWaiting(): void {
    if (sentTokens + waitingTokens > allowedTokens) return;
    const events = waiting;
    sentTokens += waitingTokens;
    waiting = '';
    waitingTokens = 0;
    send(events);
  }

  return {
    push(events) {
      waiting += events;
      waitingTokens += tokensAtMost(events);
      const wanted = sentTokens + waitingTokens + STRETCH_TOKENS / 2;
      if (wanted > askedTokens) ask(wanted + STRETCH_TOKENS / 2);
      sendWaiting();
    },
  };
}

/** Where text stands in the events of a chat, of messages and older completions, and of responses. */
const CONTENT = '"content":"';
const OTHER_CONTENT = ['"text":"', '"delta":"'] as const;
/** Text in the languages that matter here has more characters to a token than this. */
const CHARACTERS_PER_TOKEN = 3;
/** For events that hold something else, such as the arguments of a tool call, with all that is around it. */
const CHARACTERS_PER_TOKEN_AROUND = 16;

/** About the completion tokens in some events, rather too many than too few, without parsing them. */
export function tokensAtMost(events: string): number {
  let tokens = tokensAfter(CONTENT, events);
  for (const name of OTHER_CONTENT) if (tokens === 0) tokens = tokensAfter(name, events);
  return tokens > 0 ? tokens : 1 + Math.floor(events.length / CHARACTERS_PER_TOKEN_AROUND);
}

function tokensAfter(name: string, events: string): number {
  let tokens = 0;
  for (let at = events.indexOf(name); at >= 0; at = events.indexOf(name, at)) {
    const from = at + name.length;
    const end = events.indexOf('"', from);
    tokens += 1 + Math.floor(((end < 0 ? events.length : end) - from) / CHARACTERS_PER_TOKEN);
    at = end < 0 ? events.length : end;
  }
  return tokens;
}
