/**
 * A stand-in for Stripe that keeps state as Stripe does: customers, invoices with their states, items,
 * credit notes, payments, refunds, disputes, and the table of idempotency keys with its replayed
 * answers. It tells what happened as signed events, which tests deliver in whatever order they like.
 */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Stripe } from 'stripe';

type Thing = Record<string, unknown> & { readonly id: string };
type Params = Record<string, unknown>;

/**
 * lost-before: what comes back is no answer, nothing was done · lost-after: the same, and it was done ·
 * 500-before, 500-after: the same with an answer that says nothing, and that the key repeats ·
 * 409, 429: not now.
 */
export type Fault = 'lost-before' | 'lost-after' | '500-before' | '500-after' | '409' | '429';

export interface StripeServer {
  readonly url: string;
  /** What there is, by id. */
  readonly things: ReadonlyMap<string, Thing>;
  /** Method and path of every request, in order. */
  readonly requests: readonly string[];
  readonly events: readonly Thing[];
  /** What meets the next requests that write, in order; null lets one pass. */
  readonly faults: (Fault | null)[];
  /** Added to the totals of invoices: a tax that the account adds on its own. */
  surcharge: number;
  /** Called when a request that writes was carried out, before it is answered. */
  written: (request: string) => Promise<void>;
  /** Moves the clock by which keys are forgotten. */
  laterHours: number;
  of(kind: string): readonly Thing[];
  pay(invoiceId: string): void;
  failPayment(invoiceId: string, message: string): void;
  refund(invoiceId: string, cents: number, status: string): Thing;
  setRefund(refundId: string, status: string): void;
  dispute(invoiceId: string, status: string): Thing;
  setDispute(disputeId: string, status: string): void;
  /** Body and signature of an event as Stripe would send it. */
  signed(event: Thing, secret: string, seconds: number): { body: string; signature: string };
  close(): Promise<void>;
}

class Failure extends Error {
  readonly status: number;
  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

const KEY_HOURS = 24;
const PREFIXES: Readonly<Record<string, string>> = {
  customer: 'cus',
  invoice: 'in',
  invoiceitem: 'ii',
  credit_note: 'cn',
  payment_intent: 'pi',
  invoice_payment: 'inpay',
  refund: 're',
  dispute: 'du',
  event: 'evt',
  payment_method: 'pm',
};
/** As Stripe's test card of that name: it can be kept, and every payment with it fails. */
const DECLINED = 'pm_card_chargeCustomerFail';

export async function startStripeServer(options: { readonly secretKey: string }): Promise<StripeServer> {
  const things = new Map<string, Thing>();
  const requests: string[] = [];
  const faults: (Fault | null)[] = [];
  const answered = new Map<string, { params: string; status: number; body: unknown; hours: number }>();
  const events: Thing[] = [];
  let count = 0;

  function make(object: string, fields: Params): Thing {
    count += 1;
    const thing = { id: `${PREFIXES[object]}_${count}`, object, created: 1_796_000_000 + count, ...fields };
    things.set(thing.id, thing);
    return thing;
  }
  const of = (kind: string) => [...things.values()].filter(({ object }) => object === kind);
  const tell = (type: string, object: Thing) =>
    void events.push(make('event', { type, api_version: null, data: { object: structuredClone(object) } }));
  function get(id: string, object: string): Params & Thing {
    const thing = things.get(id);
    if (thing === undefined || thing['object'] !== object) throw new Failure(404, `No such ${object}: ${id}`);
    return thing;
  }
  function change(thing: Thing, fields: Params): Thing {
    return Object.assign(thing, fields);
  }

  function recount(invoice: Thing): void {
    const items = of('invoiceitem').filter((item) => item['invoice'] === invoice.id);
    const total = items.reduce(
      (sum, item) => sum + Number(item['amount']),
      items.length > 0 ? server.surcharge : 0,
    );
    change(invoice, { total, amount_due: total });
  }

  function paid(invoice: Thing, elsewhere: boolean): Thing {
    if (invoice['status'] !== 'open') throw new Failure(400, `The invoice is ${String(invoice['status'])}`);
    if (!elsewhere) {
      const intent = make('payment_intent', { last_payment_error: null });
      make('invoice_payment', {
        invoice: invoice.id,
        payment: { type: 'payment_intent', payment_intent: intent.id },
      });
    }
    change(invoice, {
      status: 'paid',
      amount_paid: invoice['total'],
      status_transitions: { paid_at: 1_796_400_000 },
    });
    tell('invoice.paid', invoice);
    return invoice;
  }

  function createInvoice(params: Params): Thing {
    get(String(params['customer']), 'customer');
    const taken = of('invoice').some(({ number }) => number === params['number']);
    if (taken) throw new Failure(400, `The number ${String(params['number'])} is taken`);
    if (params['auto_advance'] !== 'false') throw new Failure(400, 'this test never lets Stripe advance');
    const { payment_method_types: methods } = params['payment_settings'] as Params;
    return make('invoice', {
      ...params,
      auto_advance: false,
      payment_settings: { payment_method_types: Object.values(methods as Params) },
      status: 'draft',
      total: 0,
      amount_due: 0,
      amount_paid: 0,
      hosted_invoice_url: null,
      status_transitions: { paid_at: null },
    });
  }

  function act(invoice: Thing, verb: string | undefined, params: Params): Thing {
    switch (verb) {
      case 'finalize': {
        if (invoice['status'] !== 'draft') throw new Failure(400, 'This invoice is already finalized');
        recount(invoice);
        return change(invoice, { status: 'open', hosted_invoice_url: `https://pay.example/${invoice.id}` });
      }
      case 'void':
        if (invoice['status'] !== 'open') throw new Failure(400, 'Only open invoices can be voided');
        return change(invoice, { status: 'void' });
      case 'pay': {
        const method = params['payment_method'] as string | undefined;
        if (method !== undefined && get(method, 'payment_method')['card'] === DECLINED) {
          server.failPayment(invoice.id, DECLINE);
          throw new Failure(402, DECLINE);
        }
        return paid(invoice, params['paid_out_of_band'] === 'true');
      }
      default:
        throw new Failure(404, `no verb ${String(verb)}`);
    }
  }

  function credit(params: Params): Thing {
    const invoice = get(String(params['invoice']), 'invoice');
    const credited = of('credit_note').filter((note) => note['invoice'] === invoice.id);
    if (invoice['status'] !== 'paid' || credited.length > 0) throw new Failure(400, 'cannot be credited');
    refund(invoice.id, Number(params['refund_amount']), 'succeeded');
    return make('credit_note', { ...params, amount: Number(params['amount']) });
  }

  function refund(invoiceId: string, amount: number, status: string): Thing {
    const payment = of('invoice_payment').find(({ invoice }) => invoice === invoiceId);
    const intent = (payment?.['payment'] as Params | undefined)?.['payment_intent'] ?? null;
    const made = make('refund', { amount, status, payment_intent: intent, failure_reason: null });
    tell('refund.created', made);
    return made;
  }

  function read(path: readonly string[], query: Params): unknown {
    const [kind = '', id] = path;
    const list = (object: string, wanted: (thing: Thing) => boolean) => ({
      object: 'list',
      url: `/v1/${kind}`,
      has_more: false,
      data: of(object).filter(wanted).toReversed(),
    });
    switch (kind) {
      case 'account':
        return { id: 'acct_1', object: 'account' };
      case 'customers': {
        if (id === undefined) return list('customer', () => true);
        const tenant = /'([^']+)'$/.exec(String(query['query']))?.[1];
        const isTenants = ({ metadata }: Thing) => (metadata as Params)['keyledger_tenant'] === tenant;
        return { ...list('customer', isTenants), object: 'search_result' };
      }
      case 'invoices':
        return id === undefined
          ? list('invoice', ({ customer }) => [undefined, customer].includes(query['customer']))
          : get(id, 'invoice');
      case 'invoiceitems':
        return list('invoiceitem', ({ invoice }) => invoice === query['invoice']);
      case 'credit_notes':
        return list('credit_note', ({ invoice }) => invoice === query['invoice']);
      case 'invoice_payments': {
        const intent = (query['payment'] as Params | undefined)?.['payment_intent'];
        return list('invoice_payment', ({ invoice, payment }) =>
          intent === undefined
            ? invoice === query['invoice']
            : (payment as Params)['payment_intent'] === intent,
        );
      }
      case 'events': {
        const types = Object.values((query['types'] ?? {}) as Params);
        return list('event', ({ type }) => types.includes(type));
      }
      case 'payment_intents':
        return get(id!, 'payment_intent');
      case 'refunds':
        return get(id!, 'refund');
      case 'disputes':
        return get(id!, 'dispute');
      default:
        throw new Failure(404, `no route ${path.join('/')}`);
    }
  }

  function write(method: string, path: readonly string[], params: Params): unknown {
    const [kind, id, verb] = path;
    if (kind === 'customers') return make('customer', params);
    if (kind === 'invoiceitems') {
      const invoice = get(String(params['invoice']), 'invoice');
      if (invoice['status'] !== 'draft') throw new Failure(400, 'This invoice is no longer editable');
      const item = make('invoiceitem', params);
      recount(invoice);
      return item;
    }
    if (kind === 'credit_notes') return credit(params);
    if (kind === 'payment_methods') return make('payment_method', { ...params, card: id });
    if (kind !== 'invoices') throw new Failure(404, `no route ${path.join('/')}`);
    if (id === undefined) return createInvoice(params);
    const invoice = get(id, 'invoice');
    if (method !== 'DELETE') return act(invoice, verb, params);
    if (invoice['status'] !== 'draft') throw new Failure(400, 'Only drafts can be deleted');
    things.delete(id);
    return { id, object: 'invoice', deleted: true };
  }

  /** As Stripe does: what was answered under a key, also a failure, is answered again for a day. */
  function writeOnce(key: string | undefined, method: string, path: string, params: Params) {
    const written = JSON.stringify([method, path, params]);
    const known = key === undefined ? undefined : answered.get(key);
    if (known !== undefined && server.laterHours - known.hours < KEY_HOURS) {
      if (known.params !== written)
        return { status: 400, body: errorOf('idempotency_error', 'other parameters') };
      return { ...known, replayed: true };
    }
    const fault = faults.shift() ?? null;
    if (fault === '409' || fault === '429')
      return { status: Number(fault), body: errorOf('api_error', 'busy') };
    if (fault === 'lost-before') return null;
    const result = fault === '500-before' ? SILENT : attempt(() => write(method, path.split('/'), params));
    const answer = fault === '500-after' ? SILENT : result;
    if (key !== undefined) answered.set(key, { params: written, hours: server.laterHours, ...answer });
    return fault === 'lost-after' ? null : answer;
  }

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '', 'http://stripe');
    const path = url.pathname.replace('/v1/', '');
    const method = request.method ?? '';
    requests.push(`${method} ${path}`);
    let body = '';
    for await (const chunk of request) body += String(chunk);
    const isKnown = request.headers.authorization === `Bearer ${options.secretKey}`;
    const key = request.headers['idempotency-key'];
    const answer = !isKnown
      ? { status: 401, body: errorOf('invalid_request_error', 'Invalid API Key provided') }
      : method === 'GET'
        ? attempt(() => read(path.split('/'), nested(url.searchParams)))
        : writeOnce(
            key === undefined ? undefined : String(key),
            method,
            path,
            nested(new URLSearchParams(body)),
          );
    if (method !== 'GET') await server.written(`${method} ${path}`);
    // A broken connection would do as well, but the package repeats those by itself after a pause.
    if (answer === null) return void response.end('{"id": "');
    if ('replayed' in answer) response.setHeader('idempotent-replayed', 'true');
    response.writeHead(answer.status, { 'content-type': 'application/json' });
    response.end(JSON.stringify(answer.body));
  }

  const http = createServer((request, response) => void handle(request, response));
  http.listen(0, '127.0.0.1');
  await once(http, 'listening');
  const server: StripeServer = {
    url: `http://127.0.0.1:${(http.address() as AddressInfo).port}`,
    things,
    requests,
    events,
    faults,
    surcharge: 0,
    laterHours: 0,
    written: () => Promise.resolve(),
    of,
    pay: (id) => void paid(get(id, 'invoice'), false),
    failPayment(id, message) {
      const intent = make('payment_intent', { last_payment_error: { type: 'card_error', message } });
      make('invoice_payment', {
        invoice: id,
        payment: { type: 'payment_intent', payment_intent: intent.id },
      });
      tell('invoice.payment_failed', get(id, 'invoice'));
    },
    refund,
    setRefund: (id, status) => tell('refund.updated', change(get(id, 'refund'), { status })),
    dispute(invoiceId, status) {
      const payment = of('invoice_payment').find(({ invoice }) => invoice === invoiceId);
      const intent = (payment!['payment'] as Params)['payment_intent'];
      const amount = get(invoiceId, 'invoice')['total'];
      const made = make('dispute', { amount, status, reason: 'fraudulent', payment_intent: intent });
      tell('charge.dispute.created', made);
      return made;
    },
    setDispute: (id, status) => tell('charge.dispute.closed', change(get(id, 'dispute'), { status })),
    signed(event, secret, seconds) {
      const body = JSON.stringify(event);
      const header = { payload: body, secret, timestamp: seconds };
      return { body, signature: Stripe.webhooks.generateTestHeaderString(header) };
    },
    async close() {
      http.close();
      http.closeAllConnections();
      await once(http, 'close');
    },
  };
  return server;
}

const DECLINE = 'Your card was declined.';
const SILENT = { status: 500, body: errorOf('api_error', 'something went wrong') };

function errorOf(type: string, message: string) {
  return { error: { type, message } };
}

function attempt(task: () => unknown): { readonly status: number; readonly body: unknown } {
  try {
    return { status: 200, body: task() };
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    const type = error.status === 402 ? 'card_error' : 'invalid_request_error';
    return { status: error.status, body: errorOf(type, error.message) };
  }
}

/** `a[b][c]=1` as `{a: {b: {c: '1'}}}`. */
function nested(form: URLSearchParams): Params {
  const params: Params = {};
  for (const [name, value] of form) {
    const steps = name.split(/[[\]]+/).filter((step) => step !== '');
    let place = params;
    for (const step of steps.slice(0, -1)) place = (place[step] ??= {}) as Params;
    place[steps.at(-1)!] = value;
  }
  return params;
}
