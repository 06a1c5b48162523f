import type { Usage } from '../domain/spend.ts';
import type { Call } from './call.ts';
import { estimated, withUnits } from './usage.ts';

/** Speech has about so many tokens of text in a second. */
const TEXT_TOKENS_PER_SECOND = 3;

/**
 * What a call used, as far as it can be counted here: for an upstream that reports nothing. Units
 * that the request itself fixes are exact; how long a recording plays follows from what was said in it.
 */
export function counted(call: Call, inputTokens: number, outputTokens: number): Usage {
  if (call.form !== null) {
    const most = call.quantities?.second ?? 1;
    const seconds = Math.min(Math.max(Math.ceil(outputTokens / TEXT_TOKENS_PER_SECOND), 1), most);
    if (call.bySingleUnit) return withUnits(estimated(0, 0), { second: seconds });
    return estimated(Math.ceil((inputTokens * seconds) / most), outputTokens);
  }
  if (call.quantities === null) return estimated(inputTokens, outputTokens);
  return withUnits(estimated(inputTokens, call.bySingleUnit ? 0 : outputTokens), call.quantities);
}
