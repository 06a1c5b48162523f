import type { Deployment } from '../api/shapes-people.ts';
import { useRead } from '../api/hooks.ts';
import { useRights, useT } from '../context.tsx';
import { Badge, Card, Page } from '../parts/basics.tsx';
import { Empty, Shown } from '../parts/states.tsx';
import { Table } from '../parts/table.tsx';

const LIVE_MS = 5_000;

/** For the agency the deployments and how they are; for others the names that they can call. */
export default function Models() {
  const t = useT();
  const { admin } = useRights();
  return (
    <Page title={t('models')} lead={admin ? t('models.lead') : t('models.lead.tenant')}>
      <Card flush>{admin ? <Deployments /> : <Names />}</Card>
    </Page>
  );
}

function Deployments() {
  const t = useT();
  const health = useRead('GET /health', { everyMs: LIVE_MS });
  return (
    <Shown of={health}>
      {({ healthy_endpoints: healthy, unhealthy_endpoints: unhealthy }) => {
        const rows: readonly Deployment[] = [...unhealthy, ...healthy];
        if (rows.length === 0) return <Empty icon="models" title={t('models.none')} />;
        return (
          <Table
            caption={t('models')}
            rows={rows}
            keyOf={({ model_id: id }) => id}
            columns={[
              { title: t('model'), cell: ({ model }) => <span className="font-medium">{model}</span> },
              {
                title: t('deployment'),
                wide: true,
                from: 'sm',
                cell: ({ model_id: id }) => <code className="font-mono text-sm break-all">{id}</code>,
              },
              {
                title: t('status'),
                cell: ({ error }) =>
                  error === null ? (
                    <Badge tone="good">{t('state.good')}</Badge>
                  ) : (
                    <span className="flex flex-col gap-1">
                      <span>
                        <Badge tone="bad">{t('models.cooldown')}</Badge>
                      </span>
                      <span className="text-sm text-soft">{error}</span>
                    </span>
                  ),
              },
            ]}
          />
        );
      }}
    </Shown>
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
