import type { InvoiceDocument } from './invoice-document.ts';
import { documentWords, formatDate } from './words.ts';

/** What a document says of the invoices that it takes back, corrects or replaces; one sentence each kind. */
export function referenceTexts({
  kind,
  preceding,
  corrects = [],
  language,
}: InvoiceDocument): readonly string[] {
  const word = documentWords[language];
  const texts: string[] = [];
  if (preceding !== null) {
    const date = formatDate(preceding.issued_on, language);
    const say = kind === 'cancellation' ? word.cancels : word.replaces;
    texts.push(say(preceding.number, date));
  }
  if (corrects.length > 0) {
    const named = corrects.map(({ number, issued_on: date }) =>
      word.invoiceOf(number, formatDate(date, language)),
    );
    texts.push(word.corrects(named.join(', ')));
  }
  return texts;
}
