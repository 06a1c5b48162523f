/** Random histories that could have happened, for property tests of read models. */
import * as fc from 'fast-check';
import { storable } from '../../src/column-values.ts';
import type { DomainEvent, NewEvent } from '../../src/events.ts';
import type { EventStore } from '../../src/store/event-store.ts';
import * as make from './events.ts';

export interface Happening {
  readonly event: DomainEvent;
  readonly envelope: Partial<Omit<NewEvent, 'event'>>;
}

const MONTHS = ['2026-01', '2026-02', '2026-03', '2026-04'] as const;
/** Everything that a caller may send, down to what no database takes. */
const text = fc.string({ unit: 'binary', maxLength: 8 });
const id = (prefix: string) => fc.integer({ min: 1, max: 3 }).map((n) => `${prefix}_${n}`);
const instant = fc
  .date({ min: new Date('2026-01-01T00:00:00Z'), max: new Date('2026-12-31T00:00:00Z'), noInvalidDate: true })
  .map((date) => date.toISOString());
const day = instant.map((at) => at.slice(0, 10));
const whole = fc.bigInt({ min: 0n, max: 10n ** 20n });
const count = fc.nat(1_000_000);
const json = fc.dictionary(text, fc.jsonValue({ maxDepth: 2 }), { maxKeys: 3 });

/** What the edge lets through: it refuses members of this name. */
function acceptable(name: string, value: unknown): unknown {
  return name === '__proto__' ? undefined : value;
}

const limits = fc
  .record({
    requestsPerMinute: fc.option(count),
    models: fc.array(text, { maxLength: 2 }),
    budget: fc.option(fc.record({ nanos: whole, window: fc.option(fc.constant('30d')) })),
  })
  .map((overrides) => make.limits(overrides));
const settings = fc
  .record({
    alias: fc.option(text),
    userId: fc.option(id('usr')),
    projectId: fc.option(id('prj')),
    expiresAt: fc.option(instant),
    metadata: json.map((value) => JSON.parse(JSON.stringify(value), acceptable) as Record<string, never>),
    allowedRoutes: fc.array(text, { maxLength: 2 }),
  })
  .map((overrides) => make.keySettings(overrides));

const keyEvent = fc.oneof(
  fc.record({ keyId: id('key'), limits, settings }).map(make.keyGenerated),
  fc.record({ keyId: id('key'), limits }).map(make.keyLimitsChanged),
  fc.record({ keyId: id('key'), settings }).map(make.keyChanged),
  fc.record({ keyId: id('key') }).map(make.keyBlocked),
  fc.record({ keyId: id('key') }).map(make.keyUnblocked),
  fc.record({ keyId: id('key'), tokenHash: text, graceEndsAt: fc.option(instant) }).map(make.keyRotated),
  fc.record({ keyId: id('key') }).map(make.keyDeleted),
);
const line = fc.record({
  unit: fc.constantFrom('input', 'output'),
  quantity: count,
  priceRate: fc.constantFrom(150_000_000n, 600_000_000n),
  priceNanos: whole,
  costNanos: whole,
});
const spend = fc
  .record({
    requestId: fc.uuid(),
    responseId: fc.option(text),
    keyId: id('key'),
    projectId: fc.option(id('prj')),
    userId: fc.option(text),
    endUser: fc.option(text),
    tags: fc.array(text, { maxLength: 3 }),
    month: fc.constantFrom(...MONTHS),
    admittedAt: instant,
    lines: fc.array(line, { maxLength: 3 }),
    priceNanos: whole,
    costNanos: whole,
    firstByteMs: fc.option(count),
  })
  .map(make.spendRecorded);
const tenantEvent = fc.oneof(
  fc.record({ tenantId: id('ten') }).map(make.tenantOnboarded),
  fc.record({ tenantId: id('ten'), reason: text }).map(make.tenantSuspended),
  fc.record({ tenantId: id('ten') }).map(make.tenantReinstated),
  fc.record({ tenantId: id('ten'), effectiveFrom: instant }).map(make.contractSigned),
  fc.record({ tenantId: id('ten'), effectiveFrom: instant }).map(make.contractAmended),
  fc.record({ tenantId: id('ten'), paused: fc.boolean() }).map(make.contractApplied),
  fc.record({ projectId: id('prj'), limits: fc.option(limits) }).map(make.projectOpened),
  fc.record({ projectId: id('prj') }).map(make.projectBlocked),
  fc.record({ projectId: id('prj') }).map(make.projectUnblocked),
);
const subject = { limits, budgetId: fc.option(id('bud')) };
const peopleEvent = fc.oneof(
  fc.record({ id: id('usr'), ...subject }).map(make.userRegistered),
  fc.record({ id: id('usr') }).map((data) => ({ type: 'user.removed', data }) as const),
  fc.record({ invitationId: id('ivt'), userId: id('usr') }).map(make.invitationIssued),
  fc.record({ id: text, ...subject }).map(make.customerRegistered),
  fc.record({ id: text, ...subject, blocked: fc.boolean() }).map((data) => ({
    type: 'customer.changed' as const,
    data: make.customerRegistered(data).data,
  })),
  fc.record({ id: id('bud'), limits }).map(make.budgetDefined),
  fc.record({ id: text, ...subject }).map(make.tagDefined),
  fc.record({ id: id('mod'), name: text }).map(make.modelAdded),
  fc.record({ projectId: id('prj'), userId: id('usr') }).map(make.projectMemberAdded),
  fc.record({ projectId: id('prj') }).map((data) => ({ type: 'project.closed', data }) as const),
  fc.record({ projectId: id('prj'), limits: fc.option(limits) }).map(make.projectChanged),
  fc.record({ tenantId: id('ten'), userId: id('usr') }).map(make.tenantMemberAdded),
  fc.record({ tenantId: id('ten') }).map((data) => ({ type: 'tenant.closed', data }) as const),
  fc.record({ keyId: id('key'), byNanos: whole }).map(make.keySpendAdjusted),
  fc.record({ projectId: id('prj'), byNanos: whole }).map((amounts) => ({
    type: 'project.spend-adjusted' as const,
    data: { fromNanos: 262_500n, toNanos: 0n, ...amounts },
  })),
);
const billingEvent = fc.oneof(
  fc.record({ agencyId: id('age'), period: fc.constantFrom(...MONTHS) }).map(make.periodClosed),
  fc.record({ invoiceId: id('inv'), period: fc.constantFrom(...MONTHS) }).map(make.invoiceDrafted),
  fc.record({ invoiceId: id('inv') }).map(make.invoiceFinalized),
  fc.record({ invoiceId: id('inv'), paidOn: day }).map(make.invoicePaid),
  fc.record({ invoiceId: id('inv') }).map(make.invoiceSent),
  fc.record({ invoiceId: id('inv'), reason: text }).map(make.invoicePaymentFailed),
  fc.record({ invoiceId: id('inv'), reference: text }).map(make.invoiceCollectionOpened),
  fc.record({ invoiceId: id('inv'), cents: count.map(BigInt) }).map(make.invoiceRefunded),
  fc
    .record({ invoiceId: id('inv'), outcome: fc.constantFrom('won' as const, 'lost' as const) })
    .map(make.invoiceDisputeClosed),
  fc.record({ invoiceId: id('inv'), on: day }).map(make.invoiceReminded),
  fc.record({ invoiceId: id('inv'), issuedOn: day, reason: text }).map(make.invoiceCancelled),
  fc.record({ agencyId: id('age'), from: day }).map(make.taxStatusDeclared),
  fc.record({ tenantId: id('ten') }).map(make.vatIdChecked),
  fc.record({ invoiceId: id('inv') }).map(make.numberAssigned),
  fc.record({ agencyId: id('age') }).map(make.agencyRegistered),
  fc.record({ agencyId: id('age'), invoiceSeries: text }).map(make.agencyChanged),
  fc.integer({ min: 1, max: 3 }).map((planVersion) => make.planPublished({ planVersion })),
);
const auditEvent = fc.oneof(
  fc
    .record({
      auditorId: id('aud'),
      scope: fc.record({ kind: fc.constantFrom('agency' as const, 'tenant' as const), id: id('ten') }),
      expiresAt: fc.option(instant),
    })
    .map(make.auditorAppointed),
  fc.record({ auditorId: id('aud') }).map(make.auditorDismissed),
  fc.record({ auditorId: id('aud'), subject: fc.option(text) }).map(make.auditConsulted),
  fc.record({ sealedAt: instant, position: fc.bigInt({ min: 1n, max: 10n ** 9n }) }).map(make.logSealed),
  fc.record({ validFrom: instant }).map(make.logKeyRotated),
);

/** One of each type there is, so that none is forgotten here. */
const anyEvent = fc.constantFrom(...Object.values(make.oneOfEach)).map((one): DomainEvent => one());

const envelope = fc.record({ agencyId: id('age'), tenantId: id('ten'), occurredAt: instant });
const happening = fc.record({
  event: fc.oneof(
    { arbitrary: spend, weight: 5 },
    { arbitrary: keyEvent, weight: 4 },
    { arbitrary: tenantEvent, weight: 2 },
    { arbitrary: peopleEvent, weight: 3 },
    { arbitrary: billingEvent, weight: 2 },
    { arbitrary: auditEvent, weight: 1 },
    { arbitrary: anyEvent, weight: 8 },
  ),
  envelope,
});

/**
 * What the deciders let happen once only happens once; changes of what never was stay in. The
 * `certain` events, or others that leave no room for them, happen somewhere in it.
 */
export function histories(
  lengthMax: number,
  certain: readonly DomainEvent[] = [],
): fc.Arbitrary<readonly Happening[]> {
  const drawn = fc.array(happening, { maxLength: lengthMax, size: 'max' });
  const placed = certain.map((event) =>
    fc.tuple(fc.record({ event: fc.constant(event), envelope }), fc.nat(lengthMax)),
  );
  return fc.tuple(drawn, fc.tuple(...placed)).map(([random, sure]) => {
    const all = [...random];
    for (const [one, at] of sure) all.splice(at, 0, one);
    const seen = new Set<string>();
    return all.filter((one) => {
      const once = onceOnly(one.event, one.envelope.tenantId ?? 'ten_1');
      if (once === null) return true;
      const first = !seen.has(once);
      seen.add(once);
      return first;
    });
  });
}

function onceOnly(event: DomainEvent, tenantId: string): string | null {
  switch (event.type) {
    case 'key.generated':
      return `key ${event.data.keyId}`;
    case 'tenant.onboarded':
      return `tenant ${event.data.tenantId}`;
    case 'project.opened':
      return `project ${event.data.projectId}`;
    case 'agency.registered':
      return `agency ${event.data.agencyId}`;
    case 'plan.published':
      return `plan ${event.data.terms.planVersion}`;
    case 'invoice.drafted':
      return `invoice ${event.data.invoiceId}`;
    case 'spend.recorded':
      return `spend ${event.data.requestId}`;
    case 'auditor.appointed':
      return `auditor ${event.data.auditorId}`;
    case 'period.closed':
      return `period ${event.data.agencyId} ${event.data.period}`;
    case 'user.registered':
      return `user ${event.data.id}`;
    case 'invitation.issued':
      return `invitation ${event.data.invitationId}`;
    case 'budget.defined':
      return `budget ${event.data.id}`;
    case 'model.added':
      return `model ${event.data.id}`;
    case 'customer.registered':
    case 'tag.defined':
      // As a table holds it: names that differ only in what no table can hold are one.
      return `${event.type} ${tenantId} ${storable('text', event.data.id) as string}`;
    case 'project.member-added':
      return `member ${event.data.projectId} ${event.data.userId}`;
    case 'tenant.member-added':
      return `member ${event.data.tenantId} ${event.data.userId}`;
    default:
      return null;
  }
}

let streams = 0;

/** Appends them in order, each to a stream of its own; returns the position of the last one. */
export async function append(store: EventStore, happenings: readonly Happening[]): Promise<bigint> {
  if (happenings.length === 0) return await store.head();
  const writes = happenings.map(({ event, envelope }) => {
    streams += 1;
    const stream = `test-${streams}`;
    return { stream, expected: 'none' as const, events: [make.newEvent(event, stream, envelope)] };
  });
  return (await store.append(writes)).position;
}

/** The events with the usual envelope. */
export function happenings(...events: readonly DomainEvent[]): readonly Happening[] {
  return events.map((event) => ({ event, envelope: {} }));
}
