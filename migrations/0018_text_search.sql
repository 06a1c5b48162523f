-- Lists that are searched by a part of a name find it by an index of three-letter parts. Where the
-- extension is missing, or this role may not add it, they read every row instead.
do $$
begin
  create extension if not exists pg_trgm;
exception
  when insufficient_privilege or undefined_file or feature_not_supported then
    raise notice 'pg_trgm cannot be added: searches for parts of names read every row';
end
$$;
