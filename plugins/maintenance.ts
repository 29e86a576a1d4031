import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import type { Config } from '../src/config.ts'
import { createChores } from '../src/maintenance/chores.ts'
import { createJanitor, type Janitor } from '../src/maintenance/janitor.ts'

declare module 'fastify' {
  interface FastifyInstance {
    janitor: Janitor
  }
}

export interface MaintenanceOptions {
  config: Pick<Config, 'sessions' | 'securityEvents' | 'clocks'>
}

/** Deletes data after its retention. */
async function maintenance (app: FastifyInstance, { config }: MaintenanceOptions): Promise<void> {
  const janitor = createJanitor({
    database: app.database,
    chores: createChores({
      graceSeconds: config.sessions.graceSeconds,
      sessionRetentionSeconds: config.sessions.retentionSeconds,
      eventRetentionSeconds: config.securityEvents.retentionSeconds,
      leewaySeconds: config.clocks.leewaySeconds
    }),
    onFailure: (chore, err) => { app.log.warn({ err }, `Could not clear away ${chore}. It is tried again.`) }
  })
  app.decorate('janitor', janitor)
  app.addHook('onReady', async () => { janitor.start() })
  app.addHook('onClose', () => janitor.stop())
}

export default fp(maintenance, { name: 'maintenance', fastify: '5.x', dependencies: ['database'] })
