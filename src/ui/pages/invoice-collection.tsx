import type { InvoiceCollection } from '../api/shapes-money.ts';
import { useFormats, useT } from '../context.tsx';
import { amountOf } from '../format.ts';
import { Badge, Card, Facts } from '../parts/basics.tsx';
import { CopyButton } from '../parts/secret.tsx';
import { isWord } from '../words/words.ts';

/** What becomes of the money of an invoice. */
export function CollectionCard({ of: collection }: { readonly of: InvoiceCollection }) {
  const t = useT();
  const formats = useFormats();
  const { provider, reference, payment_link: link, refunded, dispute, reminders } = collection;
  const disputeWord = `dispute.${dispute?.status ?? ''}`;
  return (
    <Card title={t('payment')}>
      <Facts
        items={[
          [t('payment.by'), provider === null ? t('payment.transfer') : `Stripe · ${reference ?? ''}`],
          ...(amountOf(refunded) === 0 ? [] : [[t('payment.refunded'), formats.money(refunded)] as const]),
          ...(dispute === null
            ? []
            : [
                [
                  t('payment.dispute'),
                  <span key="dispute" className="flex flex-wrap items-center gap-2">
                    <Badge tone={dispute.status === 'won' ? 'good' : 'bad'}>
                      {isWord(disputeWord) ? t(disputeWord) : dispute.status}
                    </Badge>
                    {dispute.reason}
                  </span>,
                ] as const,
              ]),
          [
            t('payment.reminders'),
            collection.reminded_on === null
              ? formats.number(reminders)
              : t('payment.reminded', { count: reminders, day: formats.day(collection.reminded_on) }),
          ],
        ]}
      />
      {link !== null && (
        <p className="mt-3 flex items-center gap-2 rounded-lg bg-sunken px-3 py-1">
          <a
            href={link}
            rel="noreferrer"
            className="min-w-0 flex-1 truncate rounded text-accent hover:underline"
          >
            {t('payment.link')}
          </a>
          <CopyButton text={link} label={t('payment.copy')} />
        </p>
      )}
    </Card>
  );
}
