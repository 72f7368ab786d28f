-- The four Supabase tables that the sidecar mirrors the strand to. Run it in Supabase's SQL editor, or
-- with `psql -f schema.sql`. It may be run again at any time: it only adds what is missing, and it adds
-- all or nothing.
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
-- Those five are never null in the tables made here. In a table of yours that was there before they are
-- added but may be null, because its older rows have none: a null record_hash marks a row that did not
-- come through a strand.
--
-- A table of yours that was there before also gets row level security. The sidecar's service_role passes
-- it by; readers with the anon or authenticated role see no row until you give them a policy, such as
--   create policy "members read builds" on project_builds for select to authenticated using (true);

begin;

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

-- For tables that were there before: the columns they lack.

alter table public.project_builds
  add column if not exists project_id text,
  add column if not exists build_id text,
  add column if not exists status text,
  add column if not exists agent_id text,
  add column if not exists started_at_ms bigint,
  add column if not exists completed_at_ms bigint,
  add column if not exists output_url text,
  add column if not exists payload jsonb,
  add column if not exists record_hash text,
  add column if not exists strand text,
  add column if not exists seq bigint,
  add column if not exists ingested_at_ms bigint;

alter table public.build_queue
  add column if not exists queue_id text,
  add column if not exists project_id text,
  add column if not exists priority bigint,
  add column if not exists status text,
  add column if not exists enqueued_at_ms bigint,
  add column if not exists dequeued_at_ms bigint,
  add column if not exists payload jsonb,
  add column if not exists record_hash text,
  add column if not exists strand text,
  add column if not exists seq bigint,
  add column if not exists ingested_at_ms bigint;

alter table public.agent_health
  add column if not exists agent_id text,
  add column if not exists status text,
  add column if not exists cpu_pct double precision,
  add column if not exists memory_mb double precision,
  add column if not exists checked_at_ms bigint,
  add column if not exists payload jsonb,
  add column if not exists record_hash text,
  add column if not exists strand text,
  add column if not exists seq bigint,
  add column if not exists ingested_at_ms bigint;

alter table public.agent_audit_log
  add column if not exists agent_id text,
  add column if not exists event text,
  add column if not exists actor text,
  add column if not exists timestamp_ms bigint,
  add column if not exists metadata jsonb,
  add column if not exists payload jsonb,
  add column if not exists record_hash text,
  add column if not exists strand text,
  add column if not exists seq bigint,
  add column if not exists ingested_at_ms bigint;

-- The key that makes the mirror idempotent, and the index by which a strand and its copy are compared.

create unique index if not exists project_builds_record_hash_key on public.project_builds (record_hash);
create unique index if not exists build_queue_record_hash_key on public.build_queue (record_hash);
create unique index if not exists agent_health_record_hash_key on public.agent_health (record_hash);
create unique index if not exists agent_audit_log_record_hash_key on public.agent_audit_log (record_hash);

create index if not exists project_builds_strand_seq_idx on public.project_builds (strand, seq);
create index if not exists build_queue_strand_seq_idx on public.build_queue (strand, seq);
create index if not exists agent_health_strand_seq_idx on public.agent_health (strand, seq);
create index if not exists agent_audit_log_strand_seq_idx on public.agent_audit_log (strand, seq);

-- The sidecar inserts, and reads back to compare; nothing may be changed or deleted through it. Grants
-- are spelt out because newer Supabase projects give none by themselves. Identity columns need none.

grant usage on schema public to service_role;
grant select, insert on
  public.project_builds, public.build_queue, public.agent_health, public.agent_audit_log
  to service_role;

-- No policies: nobody but the service_role, which passes row level security by, sees or writes a row.

alter table public.project_builds enable row level security;
alter table public.build_queue enable row level security;
alter table public.agent_health enable row level security;
alter table public.agent_audit_log enable row level security;

commit;

-- PostgREST answers 404 for a table, and PGRST204 for a column, that it has not yet learnt of.
notify pgrst, 'reload schema';
