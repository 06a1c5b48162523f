import { canonicalJson } from '../domain/json.ts';
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
    `,"priceNanos":"${spend.priceNanos}","projectId":${text(spend.projectId)},"requestId":${text(spend.requestId)}` +
    `,"responseId":${text(spend.responseId)},"route":${text(spend.route)},"status":${spend.status}` +
    `,"stream":${spend.stream},"tags":${spend.tags.length === 0 ? '[]' : canonicalJson(spend.tags)}` +
    `,"tokenHash":${text(spend.tokenHash)},"usage":${usage(spend.usage)},"usageSource":"${spend.usageSource}"` +
    `,"userId":${text(spend.userId)}}`
  );
}

function line({ costNanos, priceNanos, priceRate, quantity, unit }: SpendLine): string {
  return `{"costNanos":"${costNanos}","priceNanos":"${priceNanos}","priceRate":"${priceRate}","quantity":${quantity},"unit":"${unit}"}`;
}

function usage({ cachedInputTokens, inputTokens, outputTokens, reasoningTokens }: Usage): string {
  return `{"cachedInputTokens":${cachedInputTokens},"inputTokens":${inputTokens},"outputTokens":${outputTokens},"reasoningTokens":${reasoningTokens}}`;
}

function text(value: string | null): string {
  return value === null ? 'null' : JSON.stringify(value);
}
