import { canonicalJson, quote } from '../domain/json.ts';
import type { SpendLine, SpendRecorded, Usage } from '../domain/spend.ts';

/**
 * Canonical JSON of a `spend.recorded` payload, the same text that `canonicalJson` gives, written
 * out. Spend is most of the log and is written for every request; walking and sorting it as if it
 * could be anything costs several times as much. Its names are in the order of the alphabet.
 */
export function spendJson(spend: SpendRecorded['data']): string {
  return (
    `{"admittedAt":"${spend.admittedAt}","costNanos":"${spend.costNanos}","currency":"${spend.currency}"` +
    `,"deployment":${text(spend.deployment)},"durationMs":${spend.durationMs},"endUser":${text(spend.endUser)}` +
    `,"firstByteMs":${spend.firstByteMs},"keyId":${text(spend.keyId)},"lines":[${spend.lines.map(line).join(',')}]` +
    `,"model":${text(spend.model)},"month":"${spend.month}","outcome":"${spend.outcome}"` +
    `,"priceNanos":"${spend.priceNanos}","projectId":${text(spend.projectId)}${raw(spend)},"requestId":${text(spend.requestId)}` +
    `,"responseId":${text(spend.responseId)},"route":${text(spend.route)},"status":${spend.status}` +
    `,"stream":${spend.stream},"tags":${spend.tags.length === 0 ? '[]' : canonicalJson(spend.tags)}` +
    `,"tokenHash":${text(spend.tokenHash)},"usage":${usage(spend.usage)},"usageSource":"${spend.usageSource}"` +
    `,"userId":${text(spend.userId)}}`
  );
}

/**
 * Spend is most of the log, and one place builds it, with the type checker watching. Reading it back
 * would cost more than the rest of the encoding, so only what types cannot say is checked: that every
 * number is whole. Throws TypeError when one is not.
 */
export function checkedSpendJson(spend: SpendRecorded['data']): string {
  const { usage: used, lines, status, durationMs, firstByteMs } = spend;
  const whole =
    Number.isSafeInteger(used.inputTokens) &&
    Number.isSafeInteger(used.cachedInputTokens) &&
    Number.isSafeInteger(used.outputTokens) &&
    Number.isSafeInteger(used.reasoningTokens) &&
    Number.isSafeInteger(status) &&
    Number.isSafeInteger(durationMs) &&
    (firstByteMs === null || Number.isSafeInteger(firstByteMs)) &&
    lines.every(({ quantity }) => Number.isSafeInteger(quantity));
  if (!whole) throw new TypeError('spend.recorded cannot be stored: a number in it is not whole');
  return spendJson(spend);
}

function line({ costNanos, priceNanos, priceRate, quantity, unit }: SpendLine): string {
  return `{"costNanos":"${costNanos}","priceNanos":"${priceNanos}","priceRate":"${priceRate}","quantity":${quantity},"unit":"${unit}"}`;
}

function usage({ cachedInputTokens, inputTokens, outputTokens, reasoningTokens, units }: Usage): string {
  return `{"cachedInputTokens":${cachedInputTokens},"inputTokens":${inputTokens},"outputTokens":${outputTokens},"reasoningTokens":${reasoningTokens}${units === undefined ? '' : `,"units":${canonicalJson(units)}`}}`;
}

function raw({ rawUsage }: SpendRecorded['data']): string {
  return rawUsage === undefined ? '' : `,"rawUsage":${canonicalJson(rawUsage)}`;
}

function text(value: string | null): string {
  return value === null ? 'null' : quote(value);
}
