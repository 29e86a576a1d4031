import { recordFormat } from '../marker.ts'
import type { RecordTables } from '../queries.ts'

/**
 * Returns the names of the tables of a record in the database of an app.
 *
 * @param schema of Postgres; the tables are searched by `search_path` if it is left out
 */
export function pooledTables (schema?: string): RecordTables {
  const within = schema === undefined ? '' : `"${schema}".`
  return {
    revocations: `${within}signout_revocations`,
    positions: `${within}signout_revocations_position_seq`,
    records: `${within}signout_records`,
    lease: `${within}signout_projector`
  }
}

/** Returns the SQL that creates those tables. Each statement may be repeated. */
export function pooledTablesSql (schema?: string): string {
  const { revocations, records, lease } = pooledTables(schema)
  return `-- One row for each revocation, until its tokens have expired.
create table if not exists ${revocations} (
  position bigint primary key generated always as identity (sequence name ${pooledTables(schema).positions}),
  scope text not null,
  id text not null,
  subject text,
  issued_before timestamptz,
  expires_at timestamptz not null,
  created_at timestamptz not null
);
create index if not exists signout_revocations_by_end on ${revocations} (expires_at);
-- The name of the record: one row, and one more for each restored backup.
create table if not exists ${records} (
  number bigint primary key generated always as identity,
  id uuid not null,
  marked bigint not null default 0,
  format integer not null,
  successor_of uuid unique,
  created_at timestamptz not null
);
insert into ${records} (id, format, created_at)
select gen_random_uuid(), ${recordFormat}, now() where not exists (select 1 from ${records});
-- The replica that copies revocations to Redis: one row.
create table if not exists ${lease} (
  is_only boolean primary key default true check (is_only),
  holder uuid not null,
  held_until timestamptz not null
);
insert into ${lease} (holder, held_until) values (gen_random_uuid(), 'epoch') on conflict do nothing;
`
}
