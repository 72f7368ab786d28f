-- The four Supabase tables that the sidecar mirrors the strand to. Run it in Supabase's SQL editor, or
-- with `psql -f schema.sql`. It may be run again at any time: it only adds what is missing. Each step
-- stands alone: where one can't be done, a warning says why and what to run instead, and the others
-- are done nevertheless. Nothing is dropped, and nobody who may read a table of yours loses that right.
--
-- A table takes one of two shapes. Yours decides by its unique keys, and `spec.supabase.mirror.tables`
-- of an integration (or the sidecar's --mirror-tables) can name table, mode, key and columns:
--   append  a row for each record: the history. The tables made here have this shape.
--   latest  a row for each build, queue item or agent: its state. A table of yours with a unique key on
--           build_id, queue_id or agent_id, such as a primary key, has this shape. To make one of
--           these here a table of states, run before there are rows in it:
--             alter table public.project_builds add constraint project_builds_build_id_key unique (build_id);
--             select public.boboyka_guard('public.project_builds');
--             grant update on public.project_builds to service_role;
--           and for the others the same with build_queue (queue_id) and agent_health (agent_id).
--
-- What the columns are for, in every table:
--   the record's own fields  typed, so that they can be filtered and joined. All may be null: the sidecar
--                            has already refused a record without its required fields, and a mirror that
--                            is stricter than the strand would only lose rows that the strand holds.
--   payload                  the whole record as it was sent, with the fields that have no column.
--   record_hash              names the block in the strand. Unique, so that a batch sent twice is stored
--                            once: without this key the mirror can't retry without doubling rows.
--   strand, seq              which strand holds the record, and at which place.
--   ingested_at_ms           when the sidecar took it, in milliseconds since 1970.
-- In a table of yours that was there before, those five are added where they are missing and may be
-- null, because its older rows have none: a null record_hash marks a row that did not come through a
-- strand.

-- The guard of a table of states: an update with an older record leaves the row as it is. Records are
-- ordered by time, then strand, then seq; within one strand that is the strand's own order. Updates that
-- set none of these columns pass.
create or replace function public.boboyka_newest_wins() returns trigger
  language plpgsql set search_path = '' as $$
declare
  here jsonb := to_jsonb(old);
  new_time bigint; old_time bigint; new_strand text; old_strand text; new_seq bigint; old_seq bigint;
  there jsonb := to_jsonb(new);
begin
  new_time := (there ->> tg_argv[2])::bigint; old_time := (here ->> tg_argv[2])::bigint;
  new_strand := there ->> tg_argv[0];         old_strand := here ->> tg_argv[0];
  new_seq := (there ->> tg_argv[1])::bigint;  old_seq := (here ->> tg_argv[1])::bigint;
  if old_time is null or new_time is null then
    return new;
  end if;
  if row(new_time, new_strand collate "C", new_seq) < row(old_time, old_strand collate "C", old_seq) then
    return null;
  end if;
  return new;
end $$;

-- Puts the guard on a table. The columns are those for strand, seq and ingested_at_ms.
create or replace function public.boboyka_guard(
  guarded regclass,
  strand_column text default 'strand',
  seq_column text default 'seq',
  time_column text default 'ingested_at_ms'
) returns void language plpgsql set search_path = '' as $$
begin
  if exists (
    select from pg_catalog.pg_trigger
    where tgrelid = guarded and tgfoid = 'public.boboyka_newest_wins()'::regprocedure
  ) then
    return;
  end if;
  execute format(
    'create trigger boboyka_newest_wins before update on %s for each row execute function public.boboyka_newest_wins(%L, %L, %L)',
    guarded, strand_column, seq_column, time_column
  );
end $$;

-- Lets the sidecar see whether a table has the guard.
create or replace function public.boboyka_has_guard(table_name text) returns boolean
  language sql stable set search_path = '' as $$
  select exists (
    select from pg_catalog.pg_trigger t
    join pg_catalog.pg_class c on c.oid = t.tgrelid
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    where n.nspname = 'public' and c.relname = table_name and t.tgenabled in ('O', 'A')
      and t.tgfoid = 'public.boboyka_newest_wins()'::regprocedure
  )
$$;

-- What the sidecar compares the table with its strand by. It tells the columns of a table, the number and
-- a digest of the rows of a strand between two places, these rows one by one, and the rows of some keys. A
-- row's digest says whether two rows are equal; nobody reads the values from it. All of this runs with
-- the rights of its caller and changes nothing. The comment `comparison N` in each function is its version.
create or replace function public.boboyka_columns(p_table text) returns jsonb
  language sql stable security invoker set search_path = '' as $$
  -- comparison 2
  select coalesce(jsonb_agg(jsonb_build_object(
    'name', a.attname,
    'has_default', a.atthasdef or a.attidentity <> '',
    'kind', case
      when t.typtype = 'e' then 'text'
      when t.typnamespace <> 'pg_catalog'::regnamespace then 'cast'
      when t.typname in ('text', 'varchar') then 'text'
      when t.typname in ('int2', 'int4', 'int8') then 'integer'
      when t.typname = 'numeric' and a.atttypmod = -1 then 'numeric'
      when t.typname in ('json', 'jsonb') then 'json'
      when t.typname in ('float4', 'float8', 'uuid') then t.typname
      when t.typname = 'bool' then 'boolean'
      when t.typname in ('timestamptz', 'timestamp', 'date') and a.atttypmod = -1 then t.typname
      else 'cast'
    end
  )), '[]')
  from pg_catalog.pg_attribute a join pg_catalog.pg_type t on t.oid = a.atttypid
  where a.attrelid = to_regclass(format('public.%I', p_table)) and a.attnum > 0 and not a.attisdropped
$$;

-- What a value becomes in a column of a type, as text; null for a value that the type refuses. The type comes by its number, as
-- the name would be SQL of the caller's.
create or replace function public.boboyka_cast(p_value jsonb, p_type oid, p_modifier int) returns text
  language plpgsql stable security invoker set search_path = '' as $$
declare
  answer text;
begin
  -- comparison 2
  execute format('select v::text from jsonb_to_record($1) as one(v %s)', pg_catalog.format_type(p_type, p_modifier))
    into answer using jsonb_build_object('v', p_value);
  return answer;
exception when others then
  return null;
end $$;

-- The expression for the digest of one row, `t`: two numbers of 64 bits. The layout names the columns, what
-- they hold, and the field of `payload` that fills them; a column whose field is absent counts only where
-- it must be null then. A column of the kind `cast` is told to be equal or not to what the field of `payload`
-- becomes in it: only the database knows that. Both are compared by their bytes, whatever the column's collation,
-- and with all digits of a float, whatever the session is set to. If one such value is refused, by whatever error, all functions
-- begin again with `guarded`, which costs more for each row. Sidecars of earlier versions name no table and have no such column.
create or replace function public.boboyka_row_digest(p_layout jsonb) returns text
  language sql stable security invoker set search_path = '' as $$
  -- comparison 2
  select format('sha256(convert_to(%s, ''UTF8''))', string_agg(
    case
      when one ->> 'field' is null or p_layout ->> 'payload' is null or (one ->> 'absent')::boolean then item
      else format('case when (t.%I)::jsonb ? %L then %s else ''-'' end', p_layout ->> 'payload', one ->> 'field', item)
    end, ' || ' order by place))
  from jsonb_array_elements(p_layout -> 'columns') with ordinality as columns(one, place)
  left join pg_catalog.pg_attribute a
    on a.attrelid = to_regclass('public.' || quote_ident(p_layout ->> 'table')) and a.attname = one ->> 'name'
  cross join lateral (select format(case one ->> 'kind'
      when 'text' then 'coalesce(''v'' || octet_length(t.%1$I::text) || '':'' || t.%1$I::text, ''n'')'
      when 'float4' then 'coalesce(''v'' || encode(float4send(t.%1$I), ''hex'') || chr(1), ''n'')'
      when 'float8' then 'coalesce(''v'' || encode(float8send(t.%1$I), ''hex'') || chr(1), ''n'')'
      when 'json' then 'coalesce(''v'' || t.%1$I::jsonb::text || chr(1), ''n'')'
      when 'cast' then 'case when t.%1$I is null then ''n'' when t.%1$I::text collate "C" = (' || case
          when (p_layout ->> 'guarded')::boolean then 'public.boboyka_cast((t.%2$I)::jsonb -> %3$L, %5$s::oid, %6$s)'
          else 'select v::text from jsonb_to_record(jsonb_build_object(''v'', (t.%2$I)::jsonb -> %3$L)) as one(v %4$s)'
        end || ') then ''v='' || chr(1) else ''v!'' || chr(1) end'
      when 'timestamptz' then moment
      when 'timestamp' then moment
      when 'date' then moment
      else 'coalesce(''v'' || t.%1$I::text || chr(1), ''n'')'
    end, one ->> 'name', p_layout ->> 'payload', one ->> 'field', pg_catalog.format_type(a.atttypid, a.atttypmod),
      a.atttypid, a.atttypmod) as item
    from (select 'coalesce(''v'' || case when isfinite(t.%1$I) then ((extract(epoch from t.%1$I) * 1000000)::numeric(40, 0))::text else t.%1$I::text end || chr(1), ''n'')' as moment) as moments
  ) as items
$$;

create or replace function public.boboyka_digest(
  p_table text, p_strand text, p_from_seq bigint, p_to_seq bigint, p_layout jsonb
) returns jsonb language plpgsql stable security invoker set search_path = '' set extra_float_digits = 3 as $$
declare
  answer jsonb;
begin
  -- comparison 2
  execute format(
    $sql$select jsonb_build_object('rows', count(*),
        'high', coalesce(sum(('x' || encode(substr(d, 1, 8), 'hex'))::bit(64)::bigint), 0)::text,
        'low', coalesce(sum(('x' || encode(substr(d, 9, 8), 'hex'))::bit(64)::bigint), 0)::text)
      from (select %s as d from public.%I t where t.%I = %L and t.%I between %s and %s) rows$sql$,
    public.boboyka_row_digest(p_layout), p_table, p_layout ->> 'strand', p_strand, p_layout ->> 'seq',
    p_from_seq, p_to_seq
  ) into answer;
  return answer;
exception when others then
  if p_layout ? 'guarded' then raise; end if;
  return public.boboyka_digest(p_table, p_strand, p_from_seq, p_to_seq, p_layout || '{"guarded": true}');
end $$;

-- The same rows one by one, in the order of their places: [place, record_hash, digest].
create or replace function public.boboyka_rows(
  p_table text, p_strand text, p_from_seq bigint, p_to_seq bigint, p_layout jsonb, p_limit bigint
) returns jsonb language plpgsql stable security invoker set search_path = '' set extra_float_digits = 3 as $$
declare
  answer jsonb;
begin
  -- comparison 2
  execute format(
    $sql$select coalesce(jsonb_agg(jsonb_build_array(seq, hash, encode(substr(d, 1, 16), 'hex')) order by seq), '[]')
      from (select t.%1$I as seq, t.%2$I::text as hash, %3$s as d from public.%4$I t
        where t.%5$I = %6$L and t.%1$I between %7$s and %8$s order by t.%1$I limit %9$s) rows$sql$,
    p_layout ->> 'seq', p_layout ->> 'record_hash', public.boboyka_row_digest(p_layout), p_table,
    p_layout ->> 'strand', p_strand, p_from_seq, p_to_seq, p_limit
  ) into answer;
  return answer;
exception when others then
  if p_layout ? 'guarded' then raise; end if;
  return public.boboyka_rows(p_table, p_strand, p_from_seq, p_to_seq, p_layout || '{"guarded": true}', p_limit);
end $$;

-- The rows of some keys, each an object with the columns of the key: [number of the key, strand, place,
-- record_hash, time, digest].
create or replace function public.boboyka_rows_of_keys(p_table text, p_keys jsonb, p_layout jsonb)
  returns jsonb language plpgsql stable security invoker set search_path = '' set extra_float_digits = 3 as $$
declare
  answer jsonb;
begin
  -- comparison 2
  execute format(
    $sql$select coalesce(jsonb_agg(jsonb_build_array(k.n - 1, t.%1$I, t.%2$I, t.%3$I, t.%4$I, encode(substr(%5$s, 1, 16), 'hex'))), '[]')
      from jsonb_array_elements($1) with ordinality as k(key, n),
      lateral jsonb_populate_record(null::public.%6$I, k.key) as wanted,
      lateral (select * from public.%6$I t where %7$s) as t$sql$,
    p_layout ->> 'strand', p_layout ->> 'seq', p_layout ->> 'record_hash', p_layout ->> 'ingested_at_ms',
    public.boboyka_row_digest(p_layout), p_table,
    (select string_agg(format('t.%1$I = wanted.%1$I', name), ' and ')
      from jsonb_array_elements_text(p_layout -> 'key') as key(name))
  ) into answer using p_keys;
  return answer;
exception when others then
  if p_layout ? 'guarded' then raise; end if;
  return public.boboyka_rows_of_keys(p_table, p_keys, p_layout || '{"guarded": true}');
end $$;

-- The oldest version among the functions that compare. The sidecar believes those of its own version alone: where
-- only some of them could be replaced, or an earlier file was run last, their digests mean something else.
create or replace function public.boboyka_comparison() returns int
  language sql stable security invoker set search_path = '' as $$
  select min(coalesce((
    select min(coalesce(substring(p.prosrc from '-- comparison (\d+)')::int, 1)) from pg_catalog.pg_proc p
    where p.pronamespace = 'public'::regnamespace and p.proname = name
  ), 0))
  from unnest(array['boboyka_columns', 'boboyka_cast', 'boboyka_row_digest', 'boboyka_digest', 'boboyka_rows',
    'boboyka_rows_of_keys']) as name
$$;

-- Moments of the migration, by the count of transactions: the first is when the mirror began, the others when
-- rows were seen that no strand wrote. Postgres knows of each row which transaction wrote it last, so that a
-- row from before the mirror is told from one that was written since, without a column for it.
do $$
begin
  create table if not exists public.boboyka_moments (
    xid xid8 primary key default pg_current_xact_id(),
    at timestamptz not null default now()
  );
  alter table public.boboyka_moments enable row level security;
  grant select, insert on public.boboyka_moments to service_role;
exception when others then
  raise warning 'rows that no strand wrote can not be counted: %. The table public.boboyka_moments needs Postgres 13 or later and the role service_role.', sqlerrm;
end $$;

-- Counts the rows of a table that were written since the mirror began and not by a strand: without a hash or a
-- strand, or of a strand that is none of `p_strands` (null: of any strand). The sample has the primary keys of
-- the newest, and no other column. Runs with the rights of its caller, and writes nothing but a moment.
create or replace function public.boboyka_foreign_rows(
  p_table text, p_strands text[], p_layout jsonb, p_sample int
) returns jsonb language plpgsql volatile security invoker set search_path = '' as $$
declare
  -- Has to be first: from now on the age of a row is counted from this transaction.
  present bigint := pg_current_xact_id()::text::bigint;
  began bigint; since timestamptz; newest bigint; newest_at timestamptz; known bigint;
  total bigint; sample jsonb; key text; strange text[] := '{}';
begin
  select m.xid::text::bigint, m.at into began, since from public.boboyka_moments m order by m.at, m.xid limit 1;
  if began is null then
    insert into public.boboyka_moments default values returning xid::text::bigint, at into began, since;
  end if;
  if began > present then
    raise exception 'the database was restored after the mirror began' using errcode = 'BBK01';
  end if;
  select string_agg(format('%L || left(t.%I::text, 60)', a.attname || '=', a.attname), ' || '','' || ' order by a.attnum)
    into key
    from pg_catalog.pg_index i join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = any (i.indkey)
    where i.indrelid = format('public.%I', p_table)::regclass and i.indisprimary;
  -- The strands of the table, each found by one step in the index on strand and seq.
  if p_strands is not null then
    execute format(
      $sql$with recursive one(strand) as (
          (select t.%1$I from public.%2$I t where t.%1$I is not null order by t.%1$I limit 1)
          union all
          select (select t.%1$I from public.%2$I t where t.%1$I > one.strand order by t.%1$I limit 1) from one
          where one.strand is not null)
        select coalesce(array_agg(strand::text), '{}') from one where strand::text <> all ($1)$sql$,
      p_layout ->> 'strand', p_table
    ) into strange using p_strands;
  end if;
  execute format(
    $sql$with new as (
        select $1 - age(t.xmin) as xid, %1$s as key from public.%2$I t
        where (t.%3$I is null or t.%4$I is null %5$s) and age(t.xmin) between -1000000 and $1 - $2 - 1)
      select count(*), max(xid),
        (select jsonb_agg(left(key, 128)) from (select key from new order by xid desc, key limit $4) as picked)
      from new$sql$,
    coalesce(key, '''ctid='' || t.ctid::text'), p_table, p_layout ->> 'record_hash', p_layout ->> 'strand',
    case when strange <> '{}' then format('or t.%I::text = any ($3)', p_layout ->> 'strand') else '' end
  ) into total, newest, sample using present, began, strange, p_sample;
  select max(m.xid::text::bigint) into known from public.boboyka_moments m;
  if newest > known then
    insert into public.boboyka_moments default values on conflict do nothing;
  end if;
  select min(m.at) into newest_at from public.boboyka_moments m where m.xid::text::bigint >= newest;
  return jsonb_build_object(
    'since_ms', floor(extract(epoch from since) * 1000)::bigint,
    'rows', total,
    'newest_at_ms', case when total > 0 then ceil(extract(epoch from coalesce(newest_at, now())) * 1000)::bigint end,
    -- Both by the clock of this database, whatever the others are set to.
    'quiet_ms', case when total > 0 then
      greatest(0, floor(extract(epoch from clock_timestamp() - coalesce(newest_at, now())) * 1000))::bigint end,
    'sample', coalesce(sample, '[]')
  );
end $$;

revoke all on function public.boboyka_newest_wins() from public;
revoke all on function public.boboyka_guard(regclass, text, text, text) from public;
revoke all on function public.boboyka_has_guard(text) from public;
revoke all on function public.boboyka_columns(text) from public;
revoke all on function public.boboyka_comparison() from public;
revoke all on function public.boboyka_cast(jsonb, oid, int) from public;
revoke all on function public.boboyka_row_digest(jsonb) from public;
revoke all on function public.boboyka_digest(text, text, bigint, bigint, jsonb) from public;
revoke all on function public.boboyka_rows(text, text, bigint, bigint, jsonb, bigint) from public;
revoke all on function public.boboyka_rows_of_keys(text, jsonb, jsonb) from public;
revoke all on function public.boboyka_foreign_rows(text, text[], jsonb, int) from public;

-- Supabase projects may grant new functions to everybody by default; these are for service_role alone.
do $$
declare
  name text;
  called text;
begin
  foreach name in array array['anon', 'authenticated'] loop
    continue when not exists (select from pg_catalog.pg_roles where rolname = name);
    for called in
      select p.oid::regprocedure::text from pg_catalog.pg_proc p
      where p.pronamespace = 'public'::regnamespace and p.proname in ('boboyka_columns', 'boboyka_comparison',
        'boboyka_cast', 'boboyka_row_digest', 'boboyka_digest', 'boboyka_rows', 'boboyka_rows_of_keys', 'boboyka_foreign_rows')
    loop
      execute format('revoke all on function %s from %I', called, name);
    end loop;
  end loop;
exception when others then
  raise warning 'anon and authenticated may call the functions that compare tables: %. They run with the rights of the caller, and show nothing that the caller may not read.', sqlerrm;
end $$;

-- Which tables were there before: those keep their row level security as it is.
select set_config('boboyka.there', coalesce(string_agg(name, ','), ''), false)
from unnest(array['project_builds', 'build_queue', 'agent_health', 'agent_audit_log']) name
where to_regclass('public.' || name) is not null;

create table if not exists public.project_builds (
  id bigint generated always as identity primary key,
  project_id text,
  build_id text,
  status text,
  agent_id text,
  started_at_ms bigint,
  completed_at_ms bigint,
  output_url text,
  payload jsonb not null,
  record_hash text not null,
  strand text not null,
  seq bigint not null,
  ingested_at_ms bigint not null
);

create table if not exists public.build_queue (
  id bigint generated always as identity primary key,
  queue_id text,
  project_id text,
  priority bigint,
  status text,
  enqueued_at_ms bigint,
  dequeued_at_ms bigint,
  payload jsonb not null,
  record_hash text not null,
  strand text not null,
  seq bigint not null,
  ingested_at_ms bigint not null
);

create table if not exists public.agent_health (
  id bigint generated always as identity primary key,
  agent_id text,
  status text,
  cpu_pct double precision,
  memory_mb double precision,
  checked_at_ms bigint,
  payload jsonb not null,
  record_hash text not null,
  strand text not null,
  seq bigint not null,
  ingested_at_ms bigint not null
);

create table if not exists public.agent_audit_log (
  id bigint generated always as identity primary key,
  agent_id text,
  event text,
  actor text,
  timestamp_ms bigint,
  metadata jsonb,
  payload jsonb not null,
  record_hash text not null,
  strand text not null,
  seq bigint not null,
  ingested_at_ms bigint not null
);

-- For tables that were there before: the columns that are missing.
do $$
declare
  wanted record;
  kind "char";
begin
  for wanted in
    select split_part(line, ' ', 1) as name, split_part(line, ' ', 2) as field, split_part(line, ' ', 3) as type
    from unnest(array[
      'project_builds project_id text', 'project_builds build_id text', 'project_builds status text',
      'project_builds agent_id text', 'project_builds started_at_ms bigint',
      'project_builds completed_at_ms bigint', 'project_builds output_url text',
      'build_queue queue_id text', 'build_queue project_id text', 'build_queue priority bigint',
      'build_queue status text', 'build_queue enqueued_at_ms bigint', 'build_queue dequeued_at_ms bigint',
      'agent_health agent_id text', 'agent_health status text', 'agent_health cpu_pct float8',
      'agent_health memory_mb float8', 'agent_health checked_at_ms bigint',
      'agent_audit_log agent_id text', 'agent_audit_log event text', 'agent_audit_log actor text',
      'agent_audit_log timestamp_ms bigint', 'agent_audit_log metadata jsonb'
    ]) line
    union all
    select name, field, type
    from unnest(array['project_builds', 'build_queue', 'agent_health', 'agent_audit_log']) name,
      (values ('payload', 'jsonb'), ('record_hash', 'text'), ('strand', 'text'), ('seq', 'bigint'),
              ('ingested_at_ms', 'bigint')) own(field, type)
  loop
    continue when to_regclass('public.' || wanted.name) is null or exists (
      select from pg_attribute
      where attrelid = to_regclass('public.' || wanted.name) and attname = wanted.field and not attisdropped
    );
    select relkind into kind from pg_class where oid = to_regclass('public.' || wanted.name);
    begin
      if kind not in ('r', 'p', 'f') then
        raise 'the columns of a view come from its query';
      end if;
      execute format('alter table public.%I add column %I %s', wanted.name, wanted.field, wanted.type);
    exception when others then
      raise warning 'public.% has no column % and gets none: %. The mirror leaves the column out. To have it filled, add it yourself, or name another table in spec.supabase.mirror.tables.', wanted.name, wanted.field, sqlerrm;
    end;
  end loop;
end $$;

-- The key that makes the mirror idempotent, and the index by which a strand and its copy are compared.
do $$
declare
  name text;
begin
  foreach name in array array['project_builds', 'build_queue', 'agent_health', 'agent_audit_log'] loop
    continue when not exists (
      select from pg_class where oid = to_regclass('public.' || name) and relkind in ('r', 'p')
    );
    begin
      if to_regclass(format('public.%I', name || '_record_hash_key')) is null then
        execute format('create unique index %I on public.%I (record_hash)', name || '_record_hash_key', name);
      end if;
    exception when others then
      raise warning 'public.% gets no unique key on record_hash: %. Without this key, or one for the mode latest, a row that is sent again after a time-out is stored twice. If the table is partitioned, mirror to one that is not (spec.supabase.mirror.tables) and copy from there.', name, sqlerrm;
    end;
    begin
      if to_regclass(format('public.%I', name || '_strand_seq_idx')) is null then
        execute format('create index %I on public.%I (strand, seq)', name || '_strand_seq_idx', name);
      end if;
    exception when others then
      raise warning 'public.% gets no index on strand and seq: %. Comparing the table with a strand reads all of it.', name, sqlerrm;
    end;
  end loop;
end $$;

-- The sidecar inserts, reads back to compare, and updates a table of states. It can delete nothing. Grants
-- are spelt out because newer Supabase projects give none by themselves; identity columns need none. A
-- table of states gets its guard.
do $$
declare
  wanted record;
begin
  begin
    grant usage on schema public to service_role;
    grant execute on function public.boboyka_has_guard(text) to service_role;
    grant execute on function public.boboyka_columns(text) to service_role;
    grant execute on function public.boboyka_comparison() to service_role;
    grant execute on function public.boboyka_cast(jsonb, oid, int) to service_role;
    grant execute on function public.boboyka_row_digest(jsonb) to service_role;
    grant execute on function public.boboyka_digest(text, text, bigint, bigint, jsonb) to service_role;
    grant execute on function public.boboyka_rows(text, text, bigint, bigint, jsonb, bigint) to service_role;
    grant execute on function public.boboyka_rows_of_keys(text, jsonb, jsonb) to service_role;
    grant execute on function public.boboyka_foreign_rows(text, text[], jsonb, int) to service_role;
  exception when others then
    raise warning 'service_role gets no rights in the schema public: %. Create the role, or run this file as the owner of the schema.', sqlerrm;
  end;
  for wanted in
    select * from (values
      ('project_builds', 'build_id'), ('build_queue', 'queue_id'), ('agent_health', 'agent_id'), ('agent_audit_log', null)
    ) wanted(name, key)
  loop
    continue when to_regclass('public.' || wanted.name) is null;
    begin
      execute format('grant select, insert on public.%I to service_role', wanted.name);
      if exists (
        select from pg_index i join pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
        where i.indrelid = to_regclass('public.' || wanted.name) and i.indisunique and i.indnkeyatts = 1
          and i.indpred is null and a.attname = wanted.key
      ) then
        execute format('grant update on public.%I to service_role', wanted.name);
        perform public.boboyka_guard(to_regclass('public.' || wanted.name));
        raise notice 'public.% has a unique key on %: the mirror keeps one row for each %.', wanted.name, wanted.key, wanted.key;
      end if;
    exception when others then
      raise warning 'service_role gets no rights on public.%: %. As the owner of the table run: grant select, insert, update on public.% to service_role', wanted.name, sqlerrm, wanted.name;
    end;
  end loop;
end $$;

-- No policies: nobody but the service_role, which passes row level security by, sees or writes a row of the
-- tables made here. A table that was there before stays as open as it was.
do $$
declare
  name text;
  there text[] := string_to_array(current_setting('boboyka.there'), ',');
begin
  foreach name in array array['project_builds', 'build_queue', 'agent_health', 'agent_audit_log'] loop
    begin
      if name <> all (there) then
        execute format('alter table public.%I enable row level security', name);
      elsif exists (
        select from pg_class
        where oid = to_regclass('public.' || name) and relkind in ('r', 'p') and not relrowsecurity
      ) then
        raise notice 'public.% was there before, without row level security, and stays so. To let only service_role read it, run: alter table public.% enable row level security', name, name;
      end if;
    exception when others then
      raise warning 'public.% has no row level security: %. As the owner of the table run: alter table public.% enable row level security', name, sqlerrm, name;
    end;
  end loop;
end $$;

-- PostgREST answers 404 for a table, and PGRST204 for a column, that it has not yet learnt of.
notify pgrst, 'reload schema';
