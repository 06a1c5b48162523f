/** A projection without a database: events in, rows out. */
import { unreachable } from '../../src/domain/decider.ts';
import type { DomainEvent, Recorded } from '../../src/events.ts';
import { memoryTable } from '../../src/memory-table.ts';
import type { Projection, RowIn } from '../../src/projection.ts';
import { recordedAll } from './events.ts';

/** Bare events become a log of their own, at positions 1, 2, 3 …, of tenant `ten_1`. */
export function project<P extends Projection>(
  projection: P,
  events: readonly (DomainEvent | Recorded)[],
): readonly RowIn<P>[] {
  const table = memoryTable(projection);
  for (const recorded of inEnvelopes(events)) {
    for (const name of columnsOf(projection, recorded)) {
      // The compiler lets extra columns of a returned object pass.
      if (!Object.hasOwn(projection.columns, name))
        throw new TypeError(`${projection.name} has no column ${name}`);
    }
    table.apply(recorded);
  }
  const rows = [...table.rows()];
  const wanted = Object.keys(projection.columns).toSorted().join();
  for (const row of rows) {
    const names = Object.keys(row).toSorted().join();
    if (names !== wanted) throw new TypeError(`a row of ${projection.name} has the columns ${names}`);
  }
  return rows;
}

function inEnvelopes(events: readonly (DomainEvent | Recorded)[]): readonly Recorded[] {
  const bare = events.filter((event): event is DomainEvent => 'type' in event);
  const enveloped = events.filter((event): event is Recorded => !('type' in event));
  if (bare.length > 0 && enveloped.length > 0) throw new TypeError('give all events an envelope, or none');
  return bare.length > 0 ? recordedAll(bare) : enveloped;
}

function columnsOf(projection: Projection, recorded: Recorded): readonly string[] {
  return projection.apply(recorded).flatMap((change) => {
    switch (change.op) {
      case 'insert':
        return Object.keys(change.row);
      case 'update':
        return [change.where, change.set, change.by ?? {}].flatMap(Object.keys);
      case 'add':
        return [change.key, change.set ?? {}, change.by].flatMap(Object.keys);
      case 'remove':
        return Object.keys(change.where);
      default:
        return unreachable(change);
    }
  });
}
