import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import type { Test } from 'tap'
import { findFreePort, findProgramFolder } from '../../scripts/services/programs.ts'
import { scratchFolder } from './app.ts'

/** A redis-server that belongs to one test, which may do to it whatever it likes. */
export interface OwnRedis {
  url: string
  port: number
  /** SIGSTOP: it keeps its connections and answers nothing. */
  pause (): void
  /** SIGCONT */
  resume (): void
  /** SIGKILL */
  kill (): Promise<void>
  /** Starts it again on the same port, without data. */
  start (): Promise<void>
}

export async function ownRedis (t: Test): Promise<OwnRedis> {
  const folder = findProgramFolder('redis-server')
  if (folder === undefined) throw new Error('This test signals a redis-server of its own: install redis-server.')
  const program = join(folder, 'redis-server')
  const port = await findFreePort()
  const dir = scratchFolder(t)
  const url = `redis://127.0.0.1:${port}`
  let child = spawnServer()

  function spawnServer () {
    return spawn(program, ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--dir', dir], { stdio: 'ignore' })
  }

  async function kill (): Promise<void> {
    if (child.exitCode !== null || child.signalCode !== null) return
    const ended = new Promise(resolve => child.once('exit', resolve))
    child.kill('SIGKILL')
    await ended
  }

  t.teardown(kill)
  await untilReady(url)
  return {
    url,
    port,
    pause: () => { child.kill('SIGSTOP') },
    resume: () => { child.kill('SIGCONT') },
    kill,
    async start () {
      child = spawnServer()
      await untilReady(url)
    }
  }
}

async function untilReady (url: string): Promise<void> {
  const redis = new Redis(url, { retryStrategy: attempt => attempt < 200 ? 25 : null, maxRetriesPerRequest: null })
  redis.on('error', () => { /* It is still starting. */ })
  await redis.ping()
  redis.disconnect()
}
