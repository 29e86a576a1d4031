import { sql, type SQL } from 'drizzle-orm'
import type { PgColumn } from 'drizzle-orm/pg-core'

/*
 * The one place that says which usernames are the same. Both forms fold the letters A to Z and nothing else. So the
 * index, the query and this process agree in every locale of the database. Without a collation, `lower` follows that
 * locale: in a Turkish one, `lower('I')` is `ı`. Without the restriction, `toLowerCase` makes the Kelvin sign a `k`.
 */

/** Returns a text with the letters A to Z in lower case. */
export function foldCase (text: string): string {
  return text.replace(/[A-Z]+/g, letters => letters.toLowerCase())
}

/** Returns an SQL expression that folds a column as {@link foldCase} folds a text. */
export function foldedCase (column: PgColumn): SQL<string> {
  return sql<string>`lower(${column} collate "C")`
}
