/** The golden invoices: input facts and what must come of them, in files that people can read. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import type { InvoiceDocument } from '../../src/billing/documents/invoice-document.ts';
import type { UsageSum } from '../../src/domain/invoice-lines.ts';
import { parseNanos } from '../../src/domain/money.ts';
import type { Unit } from '../../src/domain/spend.ts';
import type { Treatment } from '../../src/domain/tax.ts';
import { cancelled, documentOf, used } from './documents/invoices.ts';

export interface Golden {
  readonly name: string;
  readonly facts: {
    readonly period?: string;
    /** Amounts in EUR. */
    readonly fee?: string;
    readonly included?: string;
    /** What earlier invoices granted, by month. */
    readonly granted?: Readonly<Record<string, string>>;
    readonly tax?: Treatment;
    readonly small_business_from?: string;
    readonly seller?: Readonly<Record<string, unknown>>;
    readonly buyer?: Readonly<Record<string, unknown>>;
    /** `price` is for a million tokens. `times` repeats a line for as many models. */
    readonly usage?: readonly {
      readonly project?: string | null;
      readonly model?: string;
      readonly unit?: Unit;
      readonly month?: string;
      readonly tokens: number;
      readonly price: string;
      readonly times?: number;
    }[];
    readonly cancelled?: boolean;
  };
  readonly expected: {
    readonly lines: readonly string[];
    readonly taxes: readonly string[];
    readonly totals: string;
    /** Texts that the PDF shows. */
    readonly pdf: readonly string[];
    /** Texts that the plain CII holds. */
    readonly xml: readonly string[];
  };
}

const FOLDER = join(import.meta.dirname, 'golden');

export function goldenInvoices(): readonly Golden[] {
  return readdirSync(FOLDER)
    .toSorted()
    .map((file) => ({
      name: file.replace('.yaml', ''),
      ...(parse(readFileSync(join(FOLDER, file), 'utf8')) as Omit<Golden, 'name'>),
    }));
}

export function goldenDocument({ facts }: Golden): InvoiceDocument {
  const { period = '2026-11', tax = 'domestic', granted = {}, usage = [], seller = {}, buyer = {} } = facts;
  const document = documentOf({
    period,
    seller,
    buyer,
    fee: parseNanos(facts.fee ?? '0'),
    included: parseNanos(facts.included ?? '0'),
    includedGranted: new Map(Object.entries(granted).map(([month, amount]) => [month, parseNanos(amount)])),
    taxCase: { treatment: tax, evidence: tax === 'reverse-charge' ? 'vck_1' : null },
    taxStatuses:
      facts.small_business_from === undefined
        ? []
        : [{ from: facts.small_business_from, status: 'small-business' }],
    usage: usage.flatMap((one) => usageOf(one, period)),
  });
  return facts.cancelled === true ? cancelled(document) : document;
}

function usageOf(one: NonNullable<Golden['facts']['usage']>[number], period: string): readonly UsageSum[] {
  const { model = 'gpt-4o-mini', unit = 'output', month = period, project = 'prj_1', times = 1 } = one;
  const priceRate = parseNanos(one.price);
  return Array.from({ length: times }, (_, i) =>
    used({
      projectId: project,
      model: times === 1 ? model : `${model}-${String(i + 1).padStart(3, '0')}`,
      unit,
      month,
      quantity: BigInt(one.tokens),
      priceRate,
    }),
  );
}

/** A document's lines, taxes and totals as the files write them. */
export function told(document: InvoiceDocument): Pick<Golden['expected'], 'lines' | 'taxes' | 'totals'> {
  const { lines, taxes, totals, currency } = document;
  const many = lines.length > 12;
  const texts = lines.map((line) => {
    const project = line.project_name === null ? '' : ` [${line.project_name}]`;
    const price = line.unit_price === null ? '' : ` x ${line.unit_price} / 1M`;
    const month = line.service_from.slice(0, 7);
    return `${month} ${line.description}${project}: ${line.quantity}${price} = ${line.exact} -> ${line.net}`;
  });
  return {
    lines: many ? [texts[0]!, `... ${lines.length - 2} more ...`, texts.at(-1)!] : texts,
    taxes: taxes.map(
      ({ category, rate_percent, net, tax }) => `${category} ${rate_percent} % of ${net} = ${tax}`,
    ),
    totals: `${totals.net} + ${totals.tax} = ${totals.gross} ${currency}`,
  };
}
