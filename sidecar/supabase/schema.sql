-- Creates the four Supabase tables that the sidecar mirrors records to. Run it in Supabase's SQL editor, or
-- with `psql -f schema.sql`. It only adds what is missing, in one transaction, so you can run it again.
--
-- Columns of every table:
--   fields of the record  Typed, so that you can filter and join by them. All are nullable: the sidecar has
--                         already rejected records without their required fields, and constraints beyond
--                         that would reject rows of records that the strand accepted.
--   payload               The whole record as it was sent, including fields without a column.
--   record_hash           Identifies the record in its strand. Unique: a batch that is sent twice is stored
--                         once. Without this key, retries can duplicate rows.
--   strand, seq           Id of the strand that holds the record, and its position there.
--   ingested_at_ms        Time at which the sidecar appended the record, in milliseconds since 1970.
-- The last five are not null in new tables. In an existing table they are nullable, because its older rows
-- have no values for them: a null record_hash marks a row that did not come through a strand.
--
-- Existing tables also get row level security. The service_role of the sidecar bypasses it. Readers with the
-- anon or authenticated role see no rows until you create a policy, such as
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

-- Missing columns of existing tables.

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

-- The key that makes the mirror idempotent, and the index for comparing a strand with its copy.

create unique index if not exists project_builds_record_hash_key on public.project_builds (record_hash);
create unique index if not exists build_queue_record_hash_key on public.build_queue (record_hash);
create unique index if not exists agent_health_record_hash_key on public.agent_health (record_hash);
create unique index if not exists agent_audit_log_record_hash_key on public.agent_audit_log (record_hash);

create index if not exists project_builds_strand_seq_idx on public.project_builds (strand, seq);
create index if not exists build_queue_strand_seq_idx on public.build_queue (strand, seq);
create index if not exists agent_health_strand_seq_idx on public.agent_health (strand, seq);
create index if not exists agent_audit_log_strand_seq_idx on public.agent_audit_log (strand, seq);

-- The sidecar may insert rows and read them, but not change or delete them. The grants are explicit, because
-- newer Supabase projects grant nothing by default. Identity columns need no grant.

grant usage on schema public to service_role;
grant select, insert on
  public.project_builds, public.build_queue, public.agent_health, public.agent_audit_log
  to service_role;

-- Without policies, only the service_role sees and writes rows, because it bypasses row level security.

alter table public.project_builds enable row level security;
alter table public.build_queue enable row level security;
alter table public.agent_health enable row level security;
alter table public.agent_audit_log enable row level security;

commit;

-- Until PostgREST reloads its schema cache, it answers 404 for new tables and PGRST204 for new columns.
notify pgrst, 'reload schema';
