import { spawn } from 'node:child_process'
import { chownSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import type { Test } from 'tap'
import { findPgBouncer } from '../../scripts/services/pgbouncer.ts'
import { unprivilegedUser } from '../../scripts/services/postgres.ts'
import { findFreePort } from '../../scripts/services/programs.ts'
import { scratchFolder } from './app.ts'
import { until } from './wait.ts'

/**
 * Starts a PgBouncer in front of a Postgres, and returns the address of the same database through PgBouncer.
 * PgBouncer stops when the test ends.
 *
 * @param settings what differs from PgBouncer's defaults
 */
export async function pgBouncerTo (
  t: Test, databaseUrl: string, settings: Record<string, string | number> = {}
): Promise<string> {
  const program = findPgBouncer()
  if (program === undefined) throw new Error('The tests need PgBouncer: run `npm run services` first.')
  const { hostname, port, username, password } = new URL(databaseUrl)
  const ownPort = await findFreePort()
  const folder = scratchFolder(t)
  const user = unprivilegedUser()
  // PgBouncer refuses to run as root, and must be able to read its configuration.
  if (user.uid !== undefined && user.gid !== undefined) chownSync(folder, user.uid, user.gid)
  const config = join(folder, 'pgbouncer.ini')
  const login = password === '' ? '' : ` password=${decodeURIComponent(password)}`
  const own = { listen_addr: '127.0.0.1', listen_port: ownPort, unix_socket_dir: '', auth_type: 'any', ...settings }
  writeFileSync(config, `[databases]
* = host=${hostname} port=${port || 5432} user=${decodeURIComponent(username)}${login}
[pgbouncer]
${Object.entries(own)
  .map(([name, value]) => `${name} = ${value}`)
  .join('\n')}
`)
  const server = spawn(program, ['-q', config], { ...user, cwd: '/', stdio: 'ignore' })
  const ended = new Promise(resolve => { server.once('exit', resolve) })
  t.teardown(async () => {
    server.kill('SIGQUIT')
    await ended
  })
  const url = new URL(databaseUrl)
  url.hostname = '127.0.0.1'
  url.port = String(ownPort)
  await until('PgBouncer listens', () => accepts(ownPort))
  return url.href
}

/** Resolves to true if a connection is accepted. PgBouncer accepts one before it asks Postgres. */
function accepts (port: number): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect(port, '127.0.0.1')
    socket
      .on('connect', () => { resolve(true) })
      .on('error', () => { resolve(false) })
      .on('connect', () => { socket.destroy() })
  })
}
