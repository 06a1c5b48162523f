import type { Pool } from 'pg';
import { ignore } from '../connections.ts';
import { hear, type Hearing } from '../hearing.ts';
import type { Log } from '../log.ts';
import { type Base, insertBases, tidyShares } from './share-bases.ts';
import { emptyWish, join, type Wish as WishOf } from './share-wish.ts';

/**
 * This process's shares of limits that several processes keep together (migrations: limit_shares). A
 * request is admitted by what is granted here, without asking anybody; more is fetched ahead while there
 * is plenty, and waited for when there is not. Near the end of a limit exactly what waiting requests need
 * is taken, and what others hold and do not use is called back, so that nearly all of it stays usable.
 *
 * One call to the database is under way at a time, for all shares at once. A call whose outcome is unknown
 * is harmless: this process counts on nothing that it was not told of, and the next call says what it holds.
 */
export interface Share {
  readonly meter: string;
  /** How much may be in use here. */
  granted: bigint;
  /** What the others hold, used or not, as last heard. */
  others: bigint;
  /** When some of that is free again, as last heard, on the clock that never jumps; null when unknown. */
  othersFreeAtMs: number | null;
  /** When less than this is left, more is fetched. */
  lowWater: bigint;
  /** When the last call was sent that could not get what was needed. */
  driedMs: number;
  readonly use: ShareUse;
}

export interface ShareUse {
  /** What is used and reserved here now. */
  readonly inUse: () => bigint;
  /** Until some of it is free again; null when that is not known. */
  readonly freesInMs: () => number | null;
}

export interface Shares {
  /** A share of nothing yet. */
  open(meter: string, use: ShareUse): Share;
  /** Gives back what is not in use; nothing is admitted by it any more. */
  close(share: Share): void;
  /**
   * Resolves when there is an answer to the wish for so much beyond what is in use, whatever it is. The
   * limit is `cap`, less what is counted outside of shares. Rejects when the database does not answer.
   */
  need(share: Share, amount: bigint, cap: bigint): Promise<void>;
  /** Fetches more ahead of need. */
  fetch(share: Share, cap: bigint): void;
  /** More is in use than was granted. */
  report(share: Share): void;
  /** Whether it makes no sense to ask for a request that arrived at that time. */
  isDry(share: Share, arrivedMs: number, nowMs: number): boolean;
  /** False when the others may take this process for dead. */
  isTrusted(nowMs: number): boolean;
  /** Resolves when that has changed. */
  trusted(): Promise<void>;
  /** Writes down what is in use before anything else is asked: the beginning of sharing. */
  publish(bases: readonly Base[]): Promise<void>;
  /** The clock that never jumps. */
  nowMs(): number;
  /** Others may have taken over what does not outlive a process. */
  lapsed(): void;
  /** Gives everything back, as far as the database can be reached. */
  stop(): Promise<void>;
}

export interface SharesOptions {
  readonly pool: Pool;
  /** Id of this process. */
  readonly holder: string;
  readonly monotonicMs: () => number;
  readonly log: Pick<Log, 'debug' | 'warn'>;
  /** How the process stands with the others (process-registry.ts). */
  readonly standing: { readonly trustedUntilMs: number; trusted(): Promise<void> };
}

type Wish = WishOf<Share>;

const CHANNEL = 'limit_shares';
const BATCH_MAX = 500;
/** How often it is looked whether others have given back what they do not use. */
const ASKED_MAX = 20;
/** How soon, when nobody has said that he did; after the first few times less often. */
const LOOK_MS = 25;
const LOOK_EARLY_MAX = 8;
const LOOK_LATE_MS = 100;
/** For so long after a limit was found used up nobody asks again. */
const DRY_MS = 25;
const CALL_MS_MAX = 5_000;
const POLL_MS = 1_000;
const RETRY_MS = 200;
const TIDY_POLLS = 600;

export function createShares(options: SharesOptions): Shares {
  const { pool, holder, monotonicMs, log, standing } = options;
  const shares = new Map<string, Share>();
  let wishes = new Map<Share, Wish>();
  /** Not satisfied: somebody else was asked to give back. */
  const recalling = new Map<Share, Wish>();
  let turn = 0;
  let calling: Promise<void> | null = null;
  let held = false;
  let polls = 0;
  let stopped = false;

  function wishFor(share: Share): Wish {
    const wish = wishes.get(share) ?? emptyWish(share);
    const parked = recalling.get(share);
    if (parked !== undefined) join(wish, parked);
    recalling.delete(share);
    wishes.set(share, wish);
    schedule();
    return wish;
  }

  /** Until others have given back. There may be newer wishes for the same share by now. */
  function park(wish: Wish): void {
    const { share } = wish;
    const newer = wishes.get(share);
    if (newer !== undefined) return join(newer, wish);
    recalling.set(share, wish);
    const lookMs = wish.asked <= LOOK_EARLY_MAX ? LOOK_MS : LOOK_LATE_MS;
    setTimeout(() => {
      if (recalling.get(share) === wish) wishFor(share);
    }, lookMs);
  }

  function schedule(): void {
    if (calling !== null || held || wishes.size === 0) return;
    // What comes in the same turn goes along.
    calling = new Promise((resolve) => setImmediate(() => void callOnce().then(resolve)));
    void calling.then(() => {
      calling = null;
      schedule();
    });
  }

  async function callOnce(): Promise<void> {
    const batch = nextBatch();
    try {
      await call(batch);
    } catch (error) {
      log.debug({ err: error }, 'shares of limits could not be asked for');
      for (const wish of batch) failed(wish, error);
    }
  }

  function nextBatch(): readonly Wish[] {
    const batch: Wish[] = [];
    for (const [share, wish] of wishes) {
      wishes.delete(share);
      // Another one has taken its place, and speaks for the meter; whoever waits looks there.
      const current = shares.get(share.meter) ?? share;
      if (current === share) batch.push(wish);
      else resolveAll(wish);
      if (batch.length === BATCH_MAX) break;
    }
    return batch;
  }

  /** Whoever waits is told; what has to be said in any case is said later. */
  function failed({ share, waiting, givesBack }: Wish, error: unknown): void {
    for (const { reject } of waiting) reject(error);
    if (!givesBack && share.use.inUse() <= share.granted) return;
    setTimeout(() => {
      if (!stopped) wishFor(share).givesBack ||= givesBack;
    }, RETRY_MS);
  }

  async function call(batch: readonly Wish[]): Promise<void> {
    turn += 1;
    const asked = batch.map((wish) => {
      const { share, needed, cap } = wish;
      const smallest = wish.least ?? 0n;
      const inUse = share.use.inUse();
      if (wish.givesBack && inUse < share.granted) share.granted = inUse;
      const kept = inUse > share.granted ? inUse : share.granted;
      const room = kept - inUse;
      wish.sentMs = monotonicMs();
      wish.asked += 1;
      const wanted = cap === null ? null : needed > room ? needed - room : 0n;
      return { wish, kept, wanted, least: smallest > room ? smallest - room : 0n };
    });
    const { rows } = await pool.query<Answer>({
      text: 'select * from take_shares($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)',
      values: [
        holder,
        turn,
        asked.map(({ wish }) => wish.share.meter),
        asked.map(({ kept }) => String(kept)),
        asked.map(({ wanted }) => (wanted === null ? null : String(wanted))),
        asked.map(({ wish }) => (wish.cap === null ? null : String(wish.cap))),
        asked.map(({ wish }) => wholeMs(wish.share.use.freesInMs())),
        asked.map(({ wish }) => wish.asked === 1),
        asked.map(({ wish }) => wish.givesBack),
        asked.map(({ least }) => String(least)),
      ],
      query_timeout: CALL_MS_MAX,
    } as { text: string; values: unknown[] });
    const answers = new Map(rows.map((row) => [row.meter, row]));
    for (const { wish, kept, wanted } of asked) answered(wish, kept, wanted, answers.get(wish.share.meter)!);
  }

  function answered(wish: Wish, kept: bigint, wanted: bigint | null, row: Answer): void {
    const { share } = wish;
    const nowMs = monotonicMs();
    share.granted = BigInt(row.granted);
    share.others = BigInt(row.others);
    share.othersFreeAtMs = row.others_free_in_ms === null ? null : nowMs + row.others_free_in_ms;
    const extra = share.granted - kept;
    share.lowWater = extra > 0n ? extra / 4n : 0n;
    if (wanted === null) return resolveAll(wish);
    const isShort = extra < wanted;
    if (isShort && BigInt(row.recalls) > 0n && wish.asked < ASKED_MAX) {
      wish.givesBack = false;
      park(wish);
      return;
    }
    if (isShort) share.driedMs = wish.sentMs;
    resolveAll(wish);
  }

  function resolveAll({ waiting }: Wish): void {
    for (const { resolve } of waiting) resolve();
  }

  function onHeard(payload: string): void {
    if (payload.startsWith('+')) {
      const share = shares.get(payload.slice(1));
      if (share !== undefined && recalling.has(share)) wishFor(share);
      return;
    }
    // Who is short, and of what.
    if (payload.startsWith(`-${holder}`)) return;
    const share = shares.get(payload.slice(1 + holder.length));
    // What a call under way brings may be meant already.
    if (share === undefined) poll().catch(ignore);
    else if (share.granted > 0n || calling !== null) wishFor(share).givesBack = true;
  }

  /** Answers calls for what is not used: those that were not heard, and those for what is closed or all in use. */
  async function poll(): Promise<void> {
    if (stopped) return;
    const { rows } = await pool.query<{ meter: string }>(
      'select meter from limit_shares where holder = $1 and recalled',
      [holder],
    );
    const closed: string[] = [];
    for (const { meter } of rows) {
      const share = shares.get(meter);
      if (share === undefined) closed.push(meter);
      else wishFor(share).givesBack = true;
    }
    if (closed.length === 0) return;
    await pool.query(
      `with answered as (update limit_shares set recalled = false where holder = $1 and meter = any($2) returning meter)
       select pg_notify('${CHANNEL}', '+' || meter) from answered`,
      [holder, closed],
    );
  }

  async function tick(): Promise<void> {
    polls += 1;
    await poll();
    if (polls % TIDY_POLLS === 0) await tidyShares(pool);
  }

  /** A process that is alone has nothing to listen for. */
  let attention: { readonly hearing: Hearing; readonly timer: NodeJS.Timeout } | null = null;

  function attend(): void {
    attention ??= {
      hearing: hear({ pool, channels: [CHANNEL], onHeard: (_, payload) => onHeard(payload), log }),
      timer: setInterval(() => {
        tick().catch((error: unknown) => log.debug({ err: error }, 'shares of limits are not looked after'));
      }, POLL_MS),
    };
  }

  async function idle(): Promise<void> {
    for (let call = calling; call !== null; call = calling) await call;
  }

  return {
    open(meter, use) {
      const before = shares.get(meter);
      const share: Share = {
        meter,
        granted: 0n,
        others: before?.others ?? 0n,
        othersFreeAtMs: null,
        lowWater: 0n,
        driedMs: -Infinity,
        use,
      };
      shares.set(meter, share);
      return share;
    },
    close(share) {
      if (shares.get(share.meter) !== share) return;
      shares.delete(share.meter);
      wishFor(share).givesBack = true;
    },
    need(share, amount, cap) {
      if (stopped) return Promise.reject(new Error('this process ends'));
      const wish = wishFor(share);
      wish.needed += amount;
      if (wish.least === null || amount < wish.least) wish.least = amount;
      wish.cap = cap;
      return new Promise((resolve, reject) => wish.waiting.push({ resolve, reject }));
    },
    fetch(share, cap) {
      share.lowWater = 0n;
      wishFor(share).cap = cap;
    },
    report(share) {
      wishFor(share);
    },
    isDry: ({ driedMs }, arrivedMs, nowMs) => arrivedMs <= driedMs || nowMs < driedMs + DRY_MS,
    isTrusted: (nowMs) => nowMs < standing.trustedUntilMs,
    trusted: () => standing.trusted(),
    nowMs: monotonicMs,
    async publish(bases) {
      attend();
      held = true;
      try {
        await idle();
        await insertBases(pool, bases);
        for (const share of shares.values()) wishFor(share).givesBack = true;
        while (wishes.size > 0) await callPublished();
      } finally {
        held = false;
        schedule();
      }
    },
    lapsed() {
      for (const share of shares.values()) if (!share.meter.startsWith('b')) share.granted = 0n;
    },
    async stop() {
      if (attention === null) return;
      clearInterval(attention.timer);
      await attention.hearing.stop();
      await idle();
      held = true;
      stopped = true;
      for (const { waiting } of [...wishes.values(), ...recalling.values()])
        for (const { reject } of waiting) reject(new Error('this process ends'));
      wishes = new Map();
      const all = [...shares.values()].map((share) => ({
        ...emptyWish(share),
        givesBack: true,
      }));
      for (let at = 0; at < all.length; at += BATCH_MAX) await call(all.slice(at, at + BATCH_MAX));
    },
  };

  /** Throws, unlike other calls. */
  async function callPublished(): Promise<void> {
    const batch = nextBatch();
    try {
      await call(batch);
    } catch (error) {
      for (const wish of batch) failed(wish, error);
      throw error;
    }
  }
}

interface Answer {
  readonly meter: string;
  /** As the pool's readers for numbers leave them. */
  readonly granted: string | bigint;
  readonly others: string | bigint;
  readonly recalls: string | bigint;
  readonly others_free_in_ms: number | null;
}

function wholeMs(ms: number | null): number | null {
  return ms === null ? null : Math.ceil(ms);
}
