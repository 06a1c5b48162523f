import type { Quantities, Usage } from '../domain/spend.ts';
import type { Json } from './json-fields.ts';

/** What is known of a call when its answer is read. */
export interface Asked {
  readonly wantsUsage: boolean;
  readonly choices: number;
  readonly quantities: Quantities | null;
  /** It is billed by the unit of its route, not by tokens. */
  readonly bySingleUnit: boolean;
}

/**
 * What one API says and means: how a request is read and its worst case counted, and what its
 * answers report, put into the one form that is billed here.
 */
export interface Dialect {
  /** The model of a request that names none, where the API has such a default. */
  readonly defaultModel: string | null;
  /** What `stream: true` gets; null where the API has no streams. */
  readonly stream: StreamDialect | null;
  /** Streams report their usage only when `stream_options.include_usage` asks for it. */
  readonly asksForUsage: boolean;
  /** The member that limits a completion; null where the API has none. */
  readonly limitName: string | null;
  /** Whether a completion of tokens is produced at all. */
  readonly generates: boolean;
  /** Throws Refusal(bad_request | unit_not_priced) for a request that cannot be billed. */
  check(json: Json): void;
  /** How many answers; each has its own completion tokens. */
  choices(json: Json): number;
  /** Completion tokens per choice; null when the client named no limit. */
  maxOutputTokens(json: Json): number | null;
  /** Tokens of the input, counted as upstreams count them. */
  countInput(json: Json): number;
  /** Other units that it may use at most; null for none, as nearly always. */
  quantities(json: Json): Quantities | null;
  /** What the answer says about usage, as it says it. */
  reportIn(answer: Json): unknown;
  /** Null when it says nothing usable. */
  readUsage(answer: Json, asked: Asked): Usage | null;
  /** Completion tokens of an answer that reports none. */
  countAnswer(answer: Json): number;
}

export interface StreamDialect {
  /** Finds everything but plain pieces of an answer; may find a little more. */
  readonly special: RegExp;
  /** Sent after the last event of a whole answer. */
  readonly closing: string;
  /** An event that says that the answer cannot be finished. */
  failure(message: string): string;
  /** Hands over all that a model wrote in an event, with the index of its choice. */
  texts(event: Json, add: (index: number, text: string) => void): void;
  open(asked: Asked): StreamReader;
}

/**
 * What to do with an event: pass it on, leave it out, or end with it. `failed` is an error of the
 * upstream in a form of its own.
 */
export type Verdict = 'pass' | 'drop' | 'end' | 'failed';

/** Reads the special events of one stream. */
export interface StreamReader {
  /** What was reported so far; null while nothing was. */
  usage: Usage | null;
  report: unknown;
  responseId: string | null;
  /** All that was asked for is there; the rest is held back until it is recorded. */
  finished: boolean;
  take(event: Json): Verdict;
}
