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
  const health = useRead('GET /health', { live: { topics: ['health', 'models'] } });
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
                      <State of={states.get(id)} />
                    </span>
                  </>
                ),
              },
              {
                title: t('models.input'),
                right: true,
                from: 'lg',
                cell: (model) => <Cost of={model} param="input_cost_per_token" />,
              },
              {
                title: t('models.output'),
                right: true,
                from: 'lg',
                cell: (model) => <Cost of={model} param="output_cost_per_token" />,
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

function Cost({ of: model, param }: { readonly of: Model; readonly param: string }) {
  const formats = useFormats();
  const cost = perMillion(model.litellm_params[param]);
  return cost === '' ? <span className="text-soft">–</span> : formats.money(cost);
}

function State({ of: state }: { readonly of: Deployment | undefined }) {
  const t = useT();
  if (state === undefined) return <span className="text-soft">–</span>;
  if (state.error === null) return <Badge tone="good">{t('state.good')}</Badge>;
  return (
    <span className="flex flex-col gap-1">
      <span>
        <Badge tone="bad">{t('models.cooldown')}</Badge>
      </span>
      <span className="text-sm text-soft">{state.error}</span>
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
