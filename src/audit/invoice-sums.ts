import { type InvoiceDraft, type InvoiceLine } from '../domain/invoice.ts';
import { totalsOf } from '../domain/invoice-lines.ts';
import { canonicalJson } from '../domain/json.ts';
import { formatCents, formatNanos } from '../domain/money.ts';
import { decode } from '../store/codec.ts';
import { UndecodableEvent } from '../store/event-store.ts';
import type { Placed } from '../store/stored-event.ts';
import type { Entry, Scope } from './bundle.ts';
import { type CheckResult, newCheck } from './check.ts';

/**
 * What the recipient of an invoice can check alone, with its bundle: every usage line is the sum of the
 * requests that are in the bundle, to the nano, no request is missing from the lines, and the total
 * follows from the lines. One number per project, model, unit, price and month is kept.
 */
interface Sum {
  quantity: bigint;
  nanos: bigint;
}

type Place = Pick<InvoiceLine, 'projectId' | 'model' | 'unit' | 'priceRate' | 'serviceMonth'>;

export function invoiceSums(scope: Scope | null) {
  const check = newCheck('sums');
  const used = new Map<string, Sum>();
  let draft: InvoiceDraft | null = null;
  let position: bigint | null = null;
  let requests = 0;

  function acceptEvent(placed: Placed, invoiceId: string): void {
    if (placed.type !== 'spend.recorded' && placed.type !== 'invoice.drafted') return;
    try {
      const { event } = decode(placed);
      if (event.type === 'invoice.drafted' && event.data.invoiceId === invoiceId) {
        draft = event.data;
        ({ position } = placed);
      }
      if (event.type !== 'spend.recorded') return;
      requests += 1;
      const { projectId, model, month: serviceMonth, lines } = event.data;
      for (const { unit, priceRate, quantity, priceNanos } of lines) {
        const id = placeOf({ projectId, model, unit, priceRate, serviceMonth });
        const sum = used.get(id) ?? { quantity: 0n, nanos: 0n };
        used.set(id, { quantity: sum.quantity + BigInt(quantity), nanos: sum.nanos + priceNanos });
      }
    } catch (error) {
      // Named where the events are checked.
      if (!(error instanceof UndecodableEvent)) throw error;
    }
  }

  function compare({ lines, taxes, netCents, taxCents, grossCents }: InvoiceDraft): void {
    const left = new Map(used);
    for (const [index, line] of lines.entries()) {
      if (line.kind !== 'usage') continue;
      const id = placeOf(line);
      const sum = left.get(id) ?? { quantity: 0n, nanos: 0n };
      left.delete(id);
      if (sum.quantity === line.quantity && sum.nanos === line.nanos) continue;
      const charged = `${line.quantity} for ${formatNanos(line.nanos)}`;
      check.fail(
        position,
        `line ${index + 1} charges ${charged}, the requests come to ${sum.quantity} for ${formatNanos(sum.nanos)}`,
      );
    }
    for (const [id, { quantity, nanos }] of left) {
      if (quantity !== 0n || nanos !== 0n)
        check.fail(position, `no line has the ${quantity} for ${formatNanos(nanos)} of ${id}`);
    }
    if (canonicalJson(totalsOf(lines)) !== canonicalJson({ taxes, netCents, taxCents, grossCents }))
      check.fail(position, 'the total does not follow from the lines');
  }

  return {
    accept(entry: Entry): void {
      if (scope?.kind === 'invoice' && entry.kind === 'event') acceptEvent(entry.placed, scope.id);
    },
    /** None for a bundle of something else. */
    results(): readonly CheckResult[] {
      if (scope?.kind !== 'invoice') return [];
      if (draft === null) check.fail(null, `${scope.number} has no draft here`);
      else compare(draft);
      const sums = draft;
      const total =
        sums === null ? '' : `; ${formatCents(sums.grossCents)} ${sums.currency} follows from the lines`;
      return [check.result(`the usage lines are the sum of ${requests} requests, to the nano${total}`)];
    },
  };
}

function placeOf({ projectId, model, unit, priceRate, serviceMonth }: Place): string {
  return [serviceMonth, projectId ?? 'no project', model, unit, `at ${priceRate}`].join(' ');
}
