import type { Env } from './app.ts'
import { onPostgres } from './record.ts'

/**
 * Sets the clock of a database for all connections that open from now on. It works only within SQL: its functions are
 * found before those of Postgres. A second call takes effect at once, also on connections that opened since the first.
 */
export async function setPostgresClock (env: Env, aheadSeconds: number): Promise<void> {
  await onPostgres(env, 'create schema if not exists another_clock')
  await onPostgres(
    env,
    `create or replace function another_clock.clock_timestamp() returns timestamptz language sql volatile
    as $$ select pg_catalog.clock_timestamp() + make_interval(secs => ${aheadSeconds}) $$`
  )
  await onPostgres(
    env,
    "do $$ begin execute format('alter database %I set search_path = public, another_clock, pg_catalog', current_database()); end $$"
  )
}
