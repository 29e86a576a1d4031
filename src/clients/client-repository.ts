import { eq, sql } from 'drizzle-orm'
import { clockTimestamp } from '../db/clock.ts'
import type { Drizzle } from '../db/database.ts'
import { clientAssertions, clients, type StoredCredential } from './tables.ts'

/** A registered client, as it is stored. */
export type StoredClient = typeof clients.$inferSelect

/** The largest number of clients. A list shows all of them. */
export const maxClients = 1_000

/** Returns a client, and undefined if there is none. */
export async function findClient (db: Drizzle, id: string): Promise<StoredClient | undefined> {
  const [found] = await db.select().from(clients).where(eq(clients.id, id))
  return found
}

/** Returns a client, and locks it until the end of the transaction. */
export async function lockClient (db: Drizzle, id: string): Promise<StoredClient | undefined> {
  const [found] = await db.select().from(clients).where(eq(clients.id, id)).for('update')
  return found
}

/** Returns all clients, by their ids. */
export async function listClients (db: Drizzle): Promise<StoredClient[]> {
  return await db.select().from(clients).orderBy(sql`${clients.id} collate "C"`).limit(1000)
}

/** Inserts a client. Returns undefined if there is one with this id. */
export async function insertClient (
  db: Drizzle, client: Omit<StoredClient, 'createdAt'>
): Promise<StoredClient | undefined> {
  const [inserted] = await db.insert(clients).values({ ...client, createdAt: clockTimestamp })
    .onConflictDoNothing().returning()
  return inserted
}

/** Replaces the credentials of a client. */
export async function setCredentials (db: Drizzle, id: string, credentials: StoredCredential[]): Promise<void> {
  await db.update(clients).set({ credentials }).where(eq(clients.id, id))
}

/** Deletes a client. Returns false if there was none. */
export async function deleteClient (db: Drizzle, id: string): Promise<boolean> {
  return (await db.delete(clients).where(eq(clients.id, id)).returning({ id: clients.id })).length > 0
}

/** Spends an assertion. Returns false if it was spent before. One of two requests at the same time gets true. */
export async function spendAssertion (db: Drizzle, hash: string, expiresAt: Date): Promise<boolean> {
  const spent = await db.insert(clientAssertions).values({ hash, expiresAt })
    .onConflictDoNothing().returning({ hash: clientAssertions.hash })
  return spent.length > 0
}
