import { pgTable, text, timestamp } from 'drizzle-orm/pg-core'

/** The roles, and the scopes that each means. */
export const roles = pgTable('roles', {
  name: text('name').primaryKey(),
  /** The claim `scope` of tokens: scopes in the order of the alphabet, with a space between two. */
  scope: text('scope').notNull(),
  /** When the scopes were last changed. Sessions that were opened until then may have other tokens. */
  changedAt: timestamp('changed_at', { withTimezone: true, precision: 3, mode: 'date' }).notNull()
})
