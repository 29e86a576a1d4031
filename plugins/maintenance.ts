import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import type { Config } from '../src/config.ts'
import { createChores } from '../src/maintenance/chores.ts'
import { createPoll, type Poll } from '../src/timing/poll.ts'
import { createJanitor, type Janitor } from '../src/maintenance/janitor.ts'

declare module 'fastify' {
  interface FastifyInstance {
    janitor: Janitor
  }
}

export interface MaintenanceOptions {
  config: Pick<Config, 'sessions' | 'securityEvents' | 'clocks' | 'keys'>
}

/** The longest pause before a look at whether the signing key is due, in milliseconds. */
const rotationLookMs = 60_000

/** Deletes data after its retention, and replaces the signing key after its interval. */
async function maintenance (app: FastifyInstance, { config }: MaintenanceOptions): Promise<void> {
  const janitor = createJanitor({
    database: app.database,
    chores: createChores({
      graceSeconds: config.sessions.graceSeconds,
      sessionMaxAgeSeconds: config.sessions.maxAgeSeconds,
      sessionRetentionSeconds: config.sessions.retentionSeconds,
      eventRetentionSeconds: config.securityEvents.retentionSeconds,
      leewaySeconds: config.clocks.leewaySeconds
    }),
    onFailure: (chore, err) => { warn(app, err, `Could not clear away ${chore}. It is tried again.`) }
  })
  app.decorate('janitor', janitor)
  const rotation = createRotation(app, config.keys.rotationIntervalSeconds)
  app.addHook('onReady', async () => {
    janitor.start()
    rotation?.start()
  })
  app.addHook('onClose', async () => {
    rotation?.stop()
    await janitor.stop()
  })
}

/** Logs a failure. During an outage of Postgres it is no news. */
function warn ({ log, outages }: FastifyInstance, err: unknown, message: string): void {
  log[outages.isOn('postgres') ? 'debug' : 'warn']({ err }, message)
}

function createRotation (app: FastifyInstance, intervalSeconds: number): Poll | undefined {
  if (intervalSeconds === 0) return undefined
  async function rotateIfDue (): Promise<void> {
    try {
      await app.keyAdministration.rotateAfter(intervalSeconds)
    } catch (err) {
      warn(app, err, 'Could not replace the signing key, whose interval is over. It is tried again.')
    }
  }
  return createPoll(rotateIfDue, { everyMs: Math.min(rotationLookMs, intervalSeconds * 1000), hastenedMs: 0 })
}

const dependencies = ['outages', 'database', 'accounts']
export default fp(maintenance, { name: 'maintenance', fastify: '5.x', dependencies })
