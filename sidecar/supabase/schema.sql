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

revoke all on function public.boboyka_newest_wins() from public;
revoke all on function public.boboyka_guard(regclass, text, text, text) from public;
revoke all on function public.boboyka_has_guard(text) from public;

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
