import { parseDuration } from '../domain/duration.ts';
import { Refusal } from '../errors.ts';

/** Throws Refusal(bad_request) that says what a duration looks like. */
export function requireDuration(field: string, text: string): void {
  try {
    parseDuration(text);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new Refusal('bad_request', { problem: `${field} is ${error.message}.` }, { param: field });
  }
}
