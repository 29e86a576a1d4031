import { packageRoot } from '../../src/package-root.ts'
import { findFreePort, run, succeeds } from './programs.ts'
import { keptSecret } from './state.ts'

/** A project of its own, so that its volumes are not those of `docker compose up`. */
const project = 'signout-services'

/** Returns true if a Docker engine answers, and not only its client. */
export function hasDockerEngine (): boolean {
  return succeeds('docker', ['info']) && succeeds('docker', ['compose', 'version'])
}

/** Runs one service of docker-compose.yml on a loopback port of this machine, and returns its address. */
export async function composeUp (service: 'redis' | 'postgres', itsProject = project): Promise<string> {
  const port = await findFreePort()
  // The volume of an earlier run was created with this password.
  const password = keptSecret('compose-password')
  run('docker', ['compose', '-p', itsProject, 'up', '-d', '--wait', service], {
    cwd: packageRoot,
    timeoutMs: 300_000,
    env: {
      ...process.env,
      POSTGRES_PASSWORD: password,
      REDIS_SERVER_PASSWORD: password,
      KEY_ENCRYPTION_SECRET: password,
      [service === 'redis' ? 'REDIS_PORT' : 'POSTGRES_PORT']: String(port)
    }
  })
  return service === 'redis'
    ? `redis://:${password}@127.0.0.1:${port}`
    : `postgres://signout:${password}@127.0.0.1:${port}/signout`
}

export function composeDown (itsProject = project, options: string[] = []): void {
  run('docker', ['compose', '-p', itsProject, 'down', ...options], {
    cwd: packageRoot,
    env: { ...process.env, POSTGRES_PASSWORD: 'x', REDIS_SERVER_PASSWORD: 'x', KEY_ENCRYPTION_SECRET: 'x' }
  })
}
