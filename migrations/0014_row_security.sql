-- Row security for requests of people and keys that are bound to some tenants: their reads run as the
-- role keyledger_reader (src/row-security.ts), which sees what these functions say. The scope of a
-- request is the setting keyledger.scope, a JSON object of lists. Without it nothing is seen.

create function keyledger_scope(part text) returns text[] language sql stable as $$
  select array(select jsonb_array_elements_text(
    nullif(current_setting('keyledger.scope', true), '')::jsonb -> part))
$$;

-- What `a/b/c` may begin with: a, a/b.
create function keyledger_owners(id text) returns text[] language sql immutable as $$
  select array(select left(id, i - 1) from generate_series(1, length(id)) i where substr(id, i, 1) = '/')
$$;

-- Whether the reader sees the thing that a row belongs to. It asks the tables as the reader does, so
-- that their own policies decide. In plpgsql, because read models are replaced and a policy that named
-- one would keep it from being replaced.
create function keyledger_sees(kind text, id text) returns boolean language plpgsql stable as $$
begin
  case kind
    when 'key' then return exists (select from keys k where k.key_id = id);
    when 'project' then return exists (select from projects p where p.project_id = id);
    when 'tenant' then return exists (select from tenants t where t.tenant_id = id);
    when 'agency' then return exists (select from agencies a where a.agency_id = id);
    when 'user' then
      return id = any (keyledger_scope('users')) or exists (select from members m where m.user_id = id);
    -- `<project>/<user>`
    when 'member' then
      return exists (select from projects p where p.project_id = any (keyledger_owners(id)));
    -- `<tenant>/<name>`
    when 'end-user', 'customer', 'tag' then
      return keyledger_owners(id) && keyledger_scope('led');
    when 'budget' then
      return exists (select from keys x where x.budget_id = id)
        or exists (select from projects x where x.budget_id = id)
        or exists (select from tenants x where x.budget_id = id)
        or exists (select from users x where x.budget_id = id)
        or exists (select from customers x where x.budget_id = id)
        or exists (select from tags x where x.budget_id = id);
    else return false;
  end case;
end $$;
