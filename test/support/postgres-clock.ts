import type { Env } from './app.ts'
import { onPostgres } from './record.ts'

/**
 * Sets the clock of a database for everybody who connects to it from now on, as far as SQL can tell: its functions are
 * found before those of Postgres. Called again it takes effect at once, on the connections of before too.
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
