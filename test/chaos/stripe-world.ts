/** What the process that collects and the one that kills it agree on: one agency, its secrets, and a clock that runs fast. */
export const AGENCY = 'age_1';
export const STRIPE_KEY = 'sk_test_chaos0123456789';
export const WEBHOOK_SECRET = 'whsec_chaos0123456789';
export const SERVER_SECRET = 'server secret of the chaos';
/** The waits between attempts are made for days; here so many seconds pass in one. */
const SPEED = 30;
const BEGINS_MS = Date.UTC(2026, 11, 1, 9);

export function fastClock(beganMs: number): () => string {
  return () => new Date(BEGINS_MS + (Date.now() - beganMs) * SPEED).toISOString();
}

export interface CollectorTask {
  readonly url: string;
  readonly stripeUrl: string;
  /** Of the clock, in milliseconds since 1970. */
  readonly beganMs: number;
  /** Step to die at; 0: never. */
  readonly dieAt: number;
  /** Whether queries of the database are steps as well; without them most are requests to Stripe. */
  readonly queries: boolean;
}
