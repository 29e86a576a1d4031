import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import type { Redis } from 'ioredis'
import { findFreePort, findProgramFolder } from '../../scripts/services/programs.ts'

/** A redis-server that a test starts, stops and starts again. */
export interface RedisProcess {
  /** Starts it, and waits until `client` reaches it. Rejects with its last lines if it ends instead. */
  start (client: Redis): Promise<void>
  signal (signal: 'SIGSTOP' | 'SIGCONT'): void
  /** Sends SIGKILL, and waits for the end. */
  kill (): Promise<void>
}

/** The folder of redis-server. Undefined if it runs only in containers, where servers cannot reach each other. */
export const redisServer = findProgramFolder('redis-server')

export function redisProcess (args: string[]): RedisProcess {
  const spawnServer = () =>
    spawn(join(redisServer ?? '', 'redis-server'), args, { stdio: ['ignore', 'pipe', 'ignore'] })
  let child: ReturnType<typeof spawnServer> | undefined
  return {
    async start (client) {
      child = spawnServer()
      let output = ''
      child.stdout.on('data', data => { output = `${output}${data}`.slice(-2_000) })
      const ended = once(child, 'exit').then(() => {
        throw new Error(`redis-server ${args.join(' ')} ended before it answered: ${output}`)
      })
      const answer = await Promise.race([client.info('server'), ended])
      const pid = /^process_id:(\d+)/m.exec(answer)?.[1]
      if (pid !== String(child.pid)) throw new Error(`Another server, process ${pid}, has the port: ${args.join(' ')}`)
    },
    signal (signal) { child?.kill(signal) },
    async kill () {
      if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
      const ended = once(child, 'exit')
      child.kill('SIGKILL')
      await ended
    }
  }
}

/**
 * Starts a server at a free port, and at another one if it ends at once: a process that is not of the tests may have
 * taken the port meanwhile.
 */
export async function atFreePort<T> (
  start: (port: number) => Promise<T>, findPort: () => Promise<number> = findFreePort
): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await start(await findPort())
    } catch (error) {
      if (attempt === 3) throw error
    }
  }
}
