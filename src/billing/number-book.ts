import { createHash } from 'node:crypto';
import {
  formatInvoiceNumber,
  invoiceNumber,
  type NumberAssigned,
  type NumberState,
} from '../domain/invoice-number.ts';
import { canonicalJson } from '../domain/json.ts';
import { isRefusal } from '../errors.ts';
import type { NewEvent } from '../events.ts';
import { appendSurely } from '../store/append-surely.ts';
import type { EventStore, StreamHead } from '../store/event-store.ts';
import { type CommandMeta, eventId } from '../transact.ts';
import { localDate, numbersStream } from './log-facts.ts';

/**
 * The numbers of an agency's series, read once and then followed, since a run that read its series
 * anew for every invoice would need a time that grows with the square of their count. The log decides
 * who gets which number: an append holds only where the series was last seen to end.
 */
export interface NumberBook {
  /** What was assigned before; null when the book has not seen any. */
  numberOf(invoiceId: string): AssignedNumber | null;
  /** The invoice's number: the one it has, or the next of the series in the year of this moment. */
  assign(invoiceId: string): Promise<AssignedNumber>;
}

export interface AssignedNumber {
  readonly number: string;
  /** Instant of the assignment: it dates the invoice. */
  readonly at: string;
}

/** Where an agency's numbers come from. */
export interface Numbering {
  readonly agencyId: string;
  /** Without the year, such as `RE`. */
  readonly series: string;
  readonly zone: string;
  readonly cause: Pick<CommandMeta, 'agencyId' | 'actor' | 'correlationId' | 'causationId'>;
}

interface NumberDeps {
  readonly store: Pick<EventStore, 'append' | 'readStream'>;
  /** ISO instant, UTC. */
  readonly now: () => string;
}

/** How often an append is tried while its outcome is unknown. */
const APPEND_ATTEMPTS_MAX = 3;
/** Each lost race is somebody else's number, so this is how many others may come between. */
const RACES_MAX = 1_000;

/** One series of one year. */
interface Year {
  readonly name: string;
  state: NumberState;
  head: StreamHead | 'none';
}

/** `years`: those in which invoices of the run may have got their numbers. */
export async function openNumberBook(
  deps: NumberDeps,
  numbering: Numbering,
  years: { readonly from: string; readonly to: string },
): Promise<NumberBook> {
  const { agencyId, series, zone, cause } = numbering;
  const known = new Map<string, AssignedNumber>();
  const open = new Map<string, Year>();
  const oneByOne = inTurn();

  async function follow(year: Year): Promise<void> {
    const after = year.head === 'none' ? -1n : year.head.revision;
    const events = deps.store.readStream(numbersStream(agencyId, year.name), after);
    for await (const { event, revision, hash, occurredAt } of events) {
      if (event.type !== 'number.assigned') continue;
      year.state = invoiceNumber.evolve(year.state, event);
      year.head = { revision, hash };
      note(year, event.data.invoiceId, occurredAt);
    }
  }

  function note({ name, state }: Year, invoiceId: string, at: string): void {
    known.set(invoiceId, { number: formatInvoiceNumber(name, state!.place), at });
  }

  async function yearOf(year: string): Promise<Year> {
    const found = open.get(year);
    if (found !== undefined) return found;
    const made: Year = { name: `${series}-${year}`, state: null, head: 'none' };
    await follow(made);
    open.set(year, made);
    return made;
  }

  for (let year = Number(years.from); year <= Number(years.to); year += 1) await yearOf(String(year));

  async function assignNext(invoiceId: string): Promise<void> {
    const at = deps.now();
    const year = await yearOf(localDate(at, zone).slice(0, 4));
    if (known.has(invoiceId)) return;
    const stream = numbersStream(agencyId, year.name);
    const command = { type: 'assign', invoiceId } as const;
    const events = invoiceNumber.decide(command, year.state).map(
      (event): NewEvent<NumberAssigned> => ({
        ...cause,
        tenantId: null,
        id: eventId(stream, `number ${invoiceId}`, 0),
        occurredAt: at,
        commandHash: createHash('sha256').update(canonicalJson(command)).digest('hex'),
        event,
      }),
    );
    const writes = [{ stream, expected: year.head, events }];
    const { heads } = await appendSurely(deps.store, writes, { attemptsMax: APPEND_ATTEMPTS_MAX });
    year.head = heads[0]!;
    for (const { event } of events) year.state = invoiceNumber.evolve(year.state, event);
    note(year, invoiceId, at);
  }

  async function assign(invoiceId: string): Promise<AssignedNumber> {
    for (let races = 0; ; races += 1) {
      const found = known.get(invoiceId);
      if (found !== undefined) return found;
      try {
        await assignNext(invoiceId);
      } catch (error) {
        if (!isRefusal(error, 'stream_changed') || races === RACES_MAX) throw error;
        for (const year of open.values()) await follow(year);
      }
    }
  }

  return {
    numberOf: (invoiceId) => known.get(invoiceId) ?? null,
    assign: (invoiceId) => oneByOne(() => assign(invoiceId)),
  };
}

/** Calls at once are carried out one after the other, in their order. */
function inTurn(): <T>(task: () => Promise<T>) => Promise<T> {
  let last: Promise<unknown> = Promise.resolve();
  return (task) => {
    const mine = last.then(task);
    last = mine.catch(() => undefined);
    return mine;
  };
}
