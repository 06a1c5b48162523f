import type { Pool } from 'pg';
import { hear, type Hearing } from './hearing.ts';
import type { Log } from './log.ts';
import { LIVES } from './process-registry.ts';

/**
 * What one process asks the others that serve over the same database, so that it makes no difference whom a
 * client talks to: to take to the log what they have served by now, and to decide by what is in the log up
 * to a position. Asked and answered by notifications. While a question is under way the next ones wait and
 * become one. A process that is alone asks nobody.
 *
 * Nobody waits for long: whoever has not answered in time is not waited for a while. What it has served is
 * then seen later, and a change holds there as soon as it follows the log.
 */
export interface AskingOthers {
  /** Tells the others something; whoever does not hear it does not know it. */
  tell(news: string): void;
  /** Resolves when the others have everything in the log that they have served by now; with the highest position of it. */
  spent(): Promise<bigint>;
  /** Resolves when the others decide by everything up to the position. */
  known(position: bigint): Promise<void>;
  stop(): Promise<void>;
}

export interface AskingOthersOptions {
  readonly pool: Pool;
  /** Id of this process. */
  readonly id: string;
  readonly log: Pick<Log, 'debug' | 'warn'>;
  readonly monotonicMs: () => number;
  readonly isAlone: () => boolean;
  /** How this process answers; what is rejected is not answered. */
  readonly own: AskedProcess;
  readonly onTold?: (news: string) => void;
  readonly answerMsMax?: number;
}

export interface AskedProcess {
  readonly spent: () => Promise<bigint>;
  readonly known: (position: bigint) => Promise<unknown>;
}

const CHANNEL = 'gateway_questions';
const ANSWER_MS_MAX = 2_000;
/** For so long nobody waits for a process that did not answer. */
const UNHEARD_MS = 5_000;

interface Question {
  readonly kind: 'question';
  readonly from: string;
  readonly number: number;
  /** Null asks for what was spent. */
  readonly known: string | null;
}

interface Answer {
  readonly kind: 'answer';
  readonly to: string;
  readonly from: string;
  readonly number: number;
  readonly position: string;
}

interface Telling {
  readonly kind: 'telling';
  readonly from: string;
  readonly news: string;
}

/** A question under way. */
interface Asked {
  readonly answers: Map<string, bigint>;
  /** Null until it is known who lives. */
  others: readonly string[] | null;
  done: () => void;
}

export function askOthers(options: AskingOthersOptions): AskingOthers {
  const { pool, id, log, monotonicMs, isAlone, own, answerMsMax = ANSWER_MS_MAX } = options;
  const asked = new Map<number, Asked>();
  const unheardUntilMs = new Map<string, number>();
  let number = 0;

  async function ask(known: bigint | null): Promise<bigint> {
    number += 1;
    const mine = number;
    const question: Question = {
      kind: 'question',
      from: id,
      number: mine,
      known: known === null ? null : String(known),
    };
    const state: Asked = { answers: new Map(), others: null, done: () => undefined };
    const answered = new Promise<void>((resolve) => (state.done = resolve));
    asked.set(mine, state);
    let late: NodeJS.Timeout | undefined;
    try {
      // One notification, however many rows there are: PostgreSQL drops repetitions within a transaction.
      const { rows } = await pool.query<{ id: string }>(
        `select id::text, pg_notify($2, $3) from gateway_processes where ${LIVES} and sharing and id <> $1`,
        [id, CHANNEL, JSON.stringify(question)],
      );
      const nowMs = monotonicMs();
      state.others = rows.map((row) => row.id).filter((other) => (unheardUntilMs.get(other) ?? 0) <= nowMs);
      if (isAnswered(state)) return highest(state);
      late = setTimeout(state.done, answerMsMax);
      await answered;
      noteUnheard(state);
      return highest(state);
    } finally {
      clearTimeout(late);
      asked.delete(mine);
    }
  }

  function noteUnheard({ others, answers }: Asked): void {
    for (const other of others!) {
      if (answers.has(other)) continue;
      log.warn({ process: other }, 'another process does not answer');
      unheardUntilMs.set(other, monotonicMs() + UNHEARD_MS);
    }
  }

  async function answer({ from, number: theirs, known }: Question): Promise<void> {
    let position = 0n;
    if (known === null) position = await own.spent();
    else await own.known(BigInt(known));
    const said: Answer = { kind: 'answer', to: from, from: id, number: theirs, position: String(position) };
    await pool.query('select pg_notify($1, $2)', [CHANNEL, JSON.stringify(said)]);
  }

  function onHeard(payload: string): void {
    const said = JSON.parse(payload) as Question | Answer | Telling;
    if (said.from === id) return;
    unheardUntilMs.delete(said.from);
    if (said.kind === 'telling') return options.onTold?.(said.news);
    if (said.kind === 'question') {
      answer(said).catch((error: unknown) => log.debug({ err: error }, 'a question stays unanswered'));
      return;
    }
    const state = said.to === id ? asked.get(said.number) : undefined;
    if (state === undefined) return;
    state.answers.set(said.from, BigInt(said.position));
    if (isAnswered(state)) state.done();
  }

  const hearing: Hearing = hear({
    pool,
    channels: [CHANNEL],
    onHeard: (_, payload) => onHeard(payload),
    log,
  });
  const spent = oneAtATime<null, bigint>(ask, () => null);
  const known = oneAtATime<bigint, bigint>(ask, (a, b) => (a > b ? a : b));
  return {
    tell(news) {
      if (isAlone()) return;
      const said: Telling = { kind: 'telling', from: id, news };
      pool
        .query('select pg_notify($1, $2)', [CHANNEL, JSON.stringify(said)])
        .catch((error: unknown) => log.debug({ err: error }, 'the others were not told'));
    },
    spent: () => (isAlone() ? Promise.resolve(0n) : spent(null)),
    known: async (position) => {
      if (!isAlone()) await known(position);
    },
    stop: () => hearing.stop(),
  };
}

function isAnswered({ others, answers }: Asked): boolean {
  return others !== null && others.every((other) => answers.has(other));
}

function highest({ answers }: Asked): bigint {
  let most = 0n;
  for (const position of answers.values()) if (position > most) most = position;
  return most;
}

/** Calls wait for the one under way and are then made as one. */
function oneAtATime<A, R>(
  call: (argument: A) => Promise<R>,
  join: (a: A, b: A) => A,
): (argument: A) => Promise<R> {
  let running: Promise<unknown> | null = null;
  let next: { argument: A; readonly result: Promise<R> } | null = null;

  function start(argument: A): Promise<R> {
    const result = call(argument);
    running = result;
    const over = (): void => {
      if (running === result) running = null;
    };
    result.then(over, over);
    return result;
  }

  return (argument) => {
    if (running === null) return start(argument);
    if (next !== null) {
      next.argument = join(next.argument, argument);
      return next.result;
    }
    const waiting = running;
    const begin = (): Promise<R> => {
      const { argument: joined } = next!;
      next = null;
      return start(joined);
    };
    next = { argument, result: waiting.then(begin, begin) };
    return next.result;
  };
}
