import { useState } from 'react';
import type { Model } from '../api/shapes-desk.ts';
import type { Deployment } from '../api/shapes-people.ts';
import { useRead } from '../api/hooks.ts';
import { useFormats, useRights, useT } from '../context.tsx';
import { Badge, Button, Card, Page } from '../parts/basics.tsx';
import { Empty, Shown } from '../parts/states.tsx';
import { Table } from '../parts/table.tsx';
import { DeleteModel, TestModel } from './model-actions.tsx';
import { ModelForm } from './model-form.tsx';
import { perMillion } from './model-prices.ts';
import { useWorded } from '../problems.ts';

const LATENCY_MS = 5_000;

type Opened = { readonly what: 'new' } | { readonly what: 'edit' | 'delete' | 'test'; readonly model: Model };

/** For the agency the deployments, how they are and what they cost; for others the names that they can call. */
export default function Models() {
  const t = useT();
  const { admin } = useRights();
  const [opened, setOpened] = useState<Opened | null>(null);
  const close = () => setOpened(null);
  return (
    <Page
      title={t('models')}
      lead={admin ? t('models.lead') : t('models.lead.tenant')}
      actions={
        admin ? (
          <Button kind="primary" icon="plus" onClick={() => setOpened({ what: 'new' })}>
            {t('model.add')}
          </Button>
        ) : undefined
      }
    >
      <Card flush>{admin ? <Deployments onOpen={setOpened} /> : <Names />}</Card>
      {opened?.what === 'new' && <ModelForm model={null} onClose={close} />}
      {opened?.what === 'edit' && <ModelForm model={opened.model} onClose={close} />}
      {opened?.what === 'delete' && <DeleteModel model={opened.model} onClose={close} />}
      {opened?.what === 'test' && <TestModel model={opened.model} onClose={close} />}
    </Page>
  );
}

function Deployments({ onOpen }: { readonly onOpen: (opened: Opened) => void }) {
  const t = useT();
  const models = useRead('GET /model/info');
  // Latencies move without news.
  const health = useRead('GET /health', { live: { topics: ['health', 'models'] }, everyMs: LATENCY_MS });
  const { healthy_endpoints: healthy = [], unhealthy_endpoints: unhealthy = [] } = health.data ?? {};
  const states = new Map([...healthy, ...unhealthy].map((one) => [one.model_id, one]));
  return (
    <Shown of={models}>
      {({ data }) =>
        data.length === 0 ? (
          <Empty icon="models" title={t('models.none')} />
        ) : (
          <Table
            caption={t('models')}
            rows={data}
            keyOf={({ model_info: { id } }) => id}
            columns={[
              {
                title: t('model'),
                wide: true,
                cell: ({ model_name: name, model_info: { id } }) => (
                  <>
                    <span className="font-medium break-all">{name}</span>
                    <code className="block font-mono text-sm break-all text-soft">{id}</code>
                    <span className="mt-1 block sm:hidden">
                      <State of={states.get(id)} />{' '}
                      <span className="text-sm text-soft">
                        <Latency of={states.get(id)} />
                      </span>
                    </span>
                  </>
                ),
              },
              { title: t('models.cost'), right: true, from: 'lg', cell: (model) => <Cost of={model} /> },
              { title: t('models.sale'), right: true, from: 'xl', cell: (model) => <Sale of={model} /> },
              {
                title: t('models.latency'),
                right: true,
                from: 'md',
                cell: ({ model_info: { id } }) => <Latency of={states.get(id)} />,
              },
              {
                title: t('status'),
                from: 'sm',
                cell: ({ model_info: { id } }) => <State of={states.get(id)} />,
              },
              { title: t('actions'), right: true, cell: (model) => <Actions of={model} onOpen={onOpen} /> },
            ]}
          />
        )
      }
    </Shown>
  );
}

/** Input and output; what is not known stays a dash. */
function usePair(): (input: string, output: string) => string {
  const formats = useFormats();
  const shown = (amount: string) => (amount === '' ? '–' : formats.money(amount));
  return (input, output) => `${shown(input)} / ${shown(output)}`;
}

function Cost({ of: { litellm_params: params } }: { readonly of: Model }) {
  const pair = usePair();
  const [input, output] = [params['input_cost_per_token'], params['output_cost_per_token']].map(perMillion);
  if (input === '' && output === '') return <span className="text-soft">–</span>;
  return <span className="num whitespace-nowrap">{pair(input ?? '', output ?? '')}</span>;
}

/** What the newest version of each plan asks for it: plans with the same price stand together. */
function Sale({ of: { model_name: name } }: { readonly of: Model }) {
  const t = useT();
  const pair = usePair();
  const plans = useRead('GET /api/plans');
  const byPrice = new Map<string, string[]>();
  for (const { name: plan, terms } of plans.data?.data ?? []) {
    const price = terms.prices.models[name];
    const percent = terms.prices.markup_percent;
    if (price === undefined && percent === null) continue;
    const text =
      price === undefined
        ? t('models.markup', { percent: percent ?? '' })
        : pair(price.input.amount, price.output.amount);
    byPrice.set(text, [...(byPrice.get(text) ?? []), plan]);
  }
  if (byPrice.size === 0) return <span className="text-soft">–</span>;
  return [...byPrice].map(([text, named]) => (
    <span key={text} className="num block whitespace-nowrap">
      {byPrice.size > 1 && <span className="mr-2 text-sm text-soft capitalize">{named.join(', ')}</span>}
      {text}
    </span>
  ));
}

function Latency({ of: state }: { readonly of: Deployment | undefined }) {
  const formats = useFormats();
  const latency = state?.latency_ms ?? null;
  if (latency === null) return <span className="text-soft">–</span>;
  return <span className="num whitespace-nowrap">{formats.duration(latency)}</span>;
}

function State({ of: state }: { readonly of: Deployment | undefined }) {
  const t = useT();
  const worded = useWorded();
  if (state === undefined) return <span className="text-soft">–</span>;
  if (state.error === null) return <Badge tone="good">{t('state.good')}</Badge>;
  const { cooldown_seconds: seconds } = state;
  return (
    <span className="flex flex-col gap-1">
      <span className="whitespace-nowrap">
        {seconds === null ? (
          <Badge tone="bad">{t('models.failing')}</Badge>
        ) : (
          <Badge tone="warn">{t('models.cooldown', { seconds })}</Badge>
        )}
      </span>
      <span className="text-sm text-soft">{worded(state.error)}</span>
    </span>
  );
}

function Actions({ of: model, onOpen }: { readonly of: Model; readonly onOpen: (opened: Opened) => void }) {
  const t = useT();
  const { model_name: name, model_info: facts } = model;
  const button = (what: 'edit' | 'delete' | 'test') => (
    <Button kind="quiet" aria-label={t(`model.${what}.of`, { name })} onClick={() => onOpen({ what, model })}>
      {t(`model.${what}`)}
    </Button>
  );
  return (
    <span className="flex flex-wrap items-center justify-end sm:flex-nowrap">
      {facts.mode === 'chat' && !name.includes('*') && button('test')}
      {facts.db_model ? (
        <>
          {button('edit')}
          {button('delete')}
        </>
      ) : (
        <span className="px-3 text-sm text-soft sm:whitespace-nowrap">{t('model.configured')}</span>
      )}
    </span>
  );
}

function Names() {
  const t = useT();
  const models = useRead('GET /v1/models');
  return (
    <Shown of={models}>
      {({ data }) =>
        data.length === 0 ? (
          <Empty icon="models" title={t('models.none')} />
        ) : (
          <ul className="divide-y divide-line">
            {data.map(({ id }) => (
              <li key={id} className="px-5 py-3 font-mono text-sm break-all">
                {id}
              </li>
            ))}
          </ul>
        )
      }
    </Shown>
  );
}
