import { request } from 'undici';
import { z } from 'zod';

/**
 * The EU's register of VAT ids (VIES). It is often down, one member state at a time; an answer that
 * did not come is not an answer, and never counts as "not valid".
 */
const TIMEOUT_MS = 10_000;
const ANSWER_BYTES_MAX = 65_536;

const Answer = z.object({
  valid: z.boolean(),
  requestDate: z.string(),
  /** Proof of the enquiry; given when the asker's own VAT id was sent. */
  requestIdentifier: z.string().nullish(),
  name: z.string().nullish(),
  address: z.string().nullish(),
  userError: z.string().nullish(),
});

export type ViesAnswer =
  | {
      readonly kind: 'answered';
      readonly valid: boolean;
      /** As VIES states it. */
      readonly requestDate: string;
      readonly requestIdentifier: string | null;
      readonly name: string | null;
      readonly address: string | null;
    }
  | { readonly kind: 'unavailable'; readonly problem: string };

export type AskVies = (question: {
  /** With its country's prefix, without blanks. */
  readonly vatId: string;
  /** The asker's own VAT id; null when it has none. */
  readonly requester: string | null;
}) => Promise<ViesAnswer>;

export function viesClient(baseUrl: string): AskVies {
  return async ({ vatId, requester }) => {
    const body = {
      countryCode: vatId.slice(0, 2),
      vatNumber: vatId.slice(2),
      ...(requester === null
        ? {}
        : { requesterMemberStateCode: requester.slice(0, 2), requesterNumber: requester.slice(2) }),
    };
    try {
      const response = await request(`${baseUrl}/check-vat-number`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', accept: 'application/json' },
        body: JSON.stringify(body),
        signal: AbortSignal.timeout(TIMEOUT_MS),
      });
      const text = await response.body.text();
      if (response.statusCode !== 200) return unavailable(`it answered with status ${response.statusCode}`);
      if (text.length > ANSWER_BYTES_MAX) return unavailable('its answer is too long');
      return readAnswer(text);
    } catch (error) {
      return unavailable(
        error instanceof Error && error.name === 'TimeoutError' ? 'it timed out' : 'it could not be reached',
      );
    }
  };
}

function unavailable(problem: string): ViesAnswer {
  return { kind: 'unavailable', problem };
}

/** `userError` says VALID or INVALID, or which part of the service is down. */
function readAnswer(text: string): ViesAnswer {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return unavailable('its answer is not readable');
  }
  const parsed = Answer.safeParse(json);
  if (!parsed.success) return unavailable('its answer is not what it should be');
  const { valid, userError, requestDate, requestIdentifier, name, address } = parsed.data;
  const told = userError ?? (valid ? 'VALID' : 'INVALID');
  if (!['VALID', 'INVALID', 'INVALID_INPUT'].includes(told)) return unavailable(told);
  const known = (field: string | null | undefined) =>
    field === '---' || field === '' ? null : (field ?? null);
  return {
    kind: 'answered',
    valid: valid && told === 'VALID',
    requestDate,
    requestIdentifier: known(requestIdentifier),
    name: known(name),
    address: known(address),
  };
}
