import type { FastifyInstance } from 'fastify'
import { query } from './database.ts'

/** Makes the spare key older than caches may be, so that a rotation is not refused. */
export const ageSpare =
  "update signing_keys set created_at = created_at - interval '311 seconds' where state = 'spare'"

/** Does that in the database of an app. */
export async function letSpareAge (app: FastifyInstance): Promise<void> {
  await query(app, ageSpare)
}
