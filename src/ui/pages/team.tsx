import { type FormEvent, useState } from 'react';
import type { Invitation, User } from '../api/shapes-people.ts';
import { useRead, useWrite } from '../api/hooks.ts';
import { write } from '../api/client.ts';
import { useFormats, useRights, useT } from '../context.tsx';
import { useNames } from '../names.ts';
import { Button, Card, Page, Time } from '../parts/basics.tsx';
import { Confirm } from '../parts/confirm.tsx';
import { CancelOrSend, Dialog, Kept } from '../parts/dialog.tsx';
import { SelectField, TextField } from '../parts/form.tsx';
import { CopyButton } from '../parts/secret.tsx';
import { Empty, Problem, Shown } from '../parts/states.tsx';
import { Pager, Table } from '../parts/table.tsx';
import { useFilters } from '../search.ts';
import { isWord } from '../words/words.ts';
import { useProblems } from '../problems.ts';

const ROLES = ['proxy_admin', 'proxy_admin_viewer', 'internal_user', 'internal_user_viewer'] as const;

const PAGE_SIZE = 50;
/** Credentials of programs are users, too; they have a page of their own. */
const PROGRAM = 'crd_';

/** Who has a role here, and the way in for others. */
export default function Team() {
  const t = useT();
  const formats = useFormats();
  const { admin } = useRights();
  const names = useNames();
  const [get, set] = useFilters();
  const users = useRead('GET /user/list', {
    query: { page: get('page') || 1, page_size: PAGE_SIZE },
    keep: true,
  });
  const [inviting, setInviting] = useState(false);
  const [invited, setInvited] = useState<Invitation | null>(null);
  const [removing, setRemoving] = useState<User | null>(null);
  const again = useWrite('POST /invitation/new', setInvited);
  const roleName = (role: string) => {
    const word = `role.${role}`;
    return isWord(word) ? t(word) : role;
  };
  const invite = (
    <Button kind="primary" icon="plus" onClick={() => setInviting(true)}>
      {t('team.invite')}
    </Button>
  );
  return (
    <Page title={t('team')} lead={t('team.lead')} actions={admin ? invite : undefined}>
      <Card flush>
        <Shown of={users}>
          {({ users: all, total, page, total_pages: pages }) => {
            const rows = all.filter(({ user_id: id }) => !id.startsWith(PROGRAM));
            return rows.length === 0 ? (
              <Empty icon="team" title={t('team.none')} action={admin ? invite : undefined}>
                {t('team.none.hint')}
              </Empty>
            ) : (
              <>
                <Table
                  caption={t('team')}
                  rows={rows}
                  keyOf={({ user_id: id }) => id}
                  columns={[
                    {
                      title: t('user'),
                      wide: true,
                      cell: (user) => (
                        <>
                          <span className="font-medium">
                            {user.user_alias ?? user.user_email ?? user.user_id}
                          </span>
                          <span className="block text-sm [overflow-wrap:anywhere] text-soft">
                            {user.user_email ?? user.user_id}
                          </span>
                        </>
                      ),
                    },
                    { title: t('role'), cell: ({ user_role: role }) => roleName(role) },
                    {
                      title: t('tenant'),
                      from: 'md',
                      cell: ({ organizations }) => (
                        <div className="min-w-40">{organizations.map(names.tenant).join(', ') || '–'}</div>
                      ),
                    },
                    {
                      title: t('keys'),
                      right: true,
                      from: 'lg',
                      cell: ({ key_count: count }) => formats.number(count),
                    },
                    {
                      title: t('since'),
                      from: 'xl',
                      cell: ({ created_at: at }) => <Time at={at} as="date" />,
                    },
                    ...(admin
                      ? [
                          {
                            title: t('actions'),
                            right: true,
                            cell: (user: User) => (
                              <span className="flex flex-col items-end sm:flex-row sm:justify-end">
                                <Button
                                  kind="quiet"
                                  onClick={() => again.mutate({ body: { user_id: user.user_id } })}
                                >
                                  {t('team.link')}
                                </Button>
                                <Button kind="quiet" onClick={() => setRemoving(user)}>
                                  {t('remove')}
                                </Button>
                              </span>
                            ),
                          } as const,
                        ]
                      : []),
                  ]}
                />
                {pages > 1 && (
                  <Pager
                    page={page}
                    pages={pages}
                    total={t('team.count', { count: formats.number(total) })}
                    onPage={(next) => set({ page: String(next) })}
                  />
                )}
              </>
            );
          }}
        </Shown>
      </Card>
      {inviting && <Invite onClose={() => setInviting(false)} onInvited={setInvited} />}
      {invited !== null && <InvitationLink of={invited} onClose={() => setInvited(null)} />}
      {removing !== null && <Remove of={removing} onClose={() => setRemoving(null)} />}
    </Page>
  );
}

function Invite({
  onClose,
  onInvited,
}: {
  readonly onClose: () => void;
  readonly onInvited: (invitation: Invitation) => void;
}) {
  const t = useT();
  const names = useNames();
  const [email, setEmail] = useState('');
  const [name, setName] = useState('');
  const [role, setRole] = useState<string>('internal_user');
  const [tenant, setTenant] = useState('');
  const make = useWrite('POST /user/new', (answer) => void finish(String(answer['user_id'])));
  const problems = useProblems(make.error);
  const invitation = useWrite('POST /invitation/new', (made) => {
    onClose();
    onInvited(made);
  });
  const finish = async (userId: string) => {
    if (tenant !== '') {
      const body = { organization_id: tenant, member: { user_id: userId, role: 'org_admin' } };
      await write('POST /organization/member_add', { body });
    }
    invitation.mutate({ body: { user_id: userId } });
  };
  const submit = (event: FormEvent) => {
    event.preventDefault();
    make.mutate({
      body: { user_email: email, user_alias: name || null, user_role: role, auto_create_key: false },
    });
  };
  const customers = names.tenants.filter(({ own }) => !own);
  return (
    <Dialog title={t('team.invite')} onClose={onClose}>
      {make.error !== null && <Problem error={make.error} />}
      <form onSubmit={submit} className="flex flex-col gap-4">
        <TextField
          label={t('email')}
          type="email"
          required
          autoFocus
          value={email}
          onText={setEmail}
          problem={problems['user_email']}
        />
        <TextField label={t('name')} value={name} onText={setName} autoComplete="off" />
        <SelectField
          label={t('role')}
          value={role}
          onText={setRole}
          hint={t(`role.${role as 'proxy_admin'}.hint`)}
          choices={ROLES.map((one) => [one, t(`role.${one}`)] as const)}
        />
        {role === 'internal_user' && (
          <SelectField
            label={t('team.tenant')}
            value={tenant}
            onText={setTenant}
            hint={t('team.tenant.hint')}
            choices={[
              ['', t('team.tenant.none')],
              ...customers.map(({ id }) => [id, names.tenant(id)] as const),
            ]}
          />
        )}
        <CancelOrSend onClose={onClose} busy={make.isPending || invitation.isPending}>
          {t('team.invite')}
        </CancelOrSend>
      </form>
    </Dialog>
  );
}

function InvitationLink({
  of: { invitation_link: link, expires_at: until },
  onClose,
}: {
  readonly of: Invitation;
  readonly onClose: () => void;
}) {
  const t = useT();
  return (
    <Dialog title={t('team.invited')} onClose={onClose} wide fixed>
      <p>
        {t('team.invited.lead')} <Time at={until} />
      </p>
      <div className="flex flex-wrap items-center gap-2 rounded-lg border border-line px-4 py-3">
        <code className="min-w-0 flex-1 font-mono text-sm break-all" data-invitation>
          {link}
        </code>
        <CopyButton text={link} label={t('team.copy')} />
      </div>
      <Kept onClose={onClose} />
    </Dialog>
  );
}

function Remove({ of: user, onClose }: { readonly of: User; readonly onClose: () => void }) {
  const t = useT();
  const remove = useWrite('POST /user/delete', onClose);
  return (
    <Confirm
      title={t('team.remove', { name: user.user_alias ?? user.user_email ?? user.user_id })}
      action={t('remove')}
      of={remove}
      onConfirm={() => remove.mutate({ body: { user_ids: [user.user_id] } })}
      onClose={onClose}
    >
      <p>{t('team.remove.effect', { count: user.key_count })}</p>
    </Confirm>
  );
}
