/** Runs statements of SQL on Postgres, each within the deadline of the database. Needs no query builder. */
export interface Sql {
  /**
   * Runs one statement, and returns its rows.
   *
   * @param text with `$1`, `$2` and so on in place of the values
   *
   * @example
   * await sql.query<{ id: string }>('select id from users where username = $1', [username])
   */
  query<Row extends object> (text: string, values?: readonly unknown[]): Promise<Row[]>
}

/** A database that runs statements, alone or in a transaction. */
export interface SqlDatabase extends Sql {
  /** Runs work in one transaction: commits when it resolves, rolls back when it rejects. */
  transaction<T> (work: (sql: Sql) => Promise<T>): Promise<T>
}
