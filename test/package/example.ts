import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { findFreePort } from '../../scripts/services/programs.ts'
import type { Env } from '../support/app.ts'
import type { OwnRedis } from '../support/redis-server.ts'
import type { Owner } from '../support/teardown.ts'
import { undisturbed } from '../support/undisturbed.ts'
import { until } from '../support/wait.ts'
import { askAgain } from './ask-again.ts'

/** An app that runs. */
export interface RunningApp { address: string }

/** Starts the app of the README, which `writeSources` has written into a folder. */
export async function startExample (
  owner: Owner, folder: string, redisUrl: string, node = process.execPath
): Promise<RunningApp> {
  return await startProgram(owner, { folder, file: 'app.mjs', env: { REDIS_URL: redisUrl }, node })
}

/** Starts a program of an app, which listens on the port in its environment. */
export async function startProgram (
  owner: Owner,
  { folder, file, env, node = process.execPath }: { folder: string, file: string, env: Env, node?: string }
): Promise<RunningApp> {
  const port = await findFreePort()
  const address = `http://127.0.0.1:${port}`
  const child = spawn(...undisturbed(node, [file]), {
    cwd: folder,
    env: { PATH: process.env['PATH'], PORT: String(port), ...env },
    stdio: ['ignore', 'pipe', 'pipe']
  })
  const output: Buffer[] = []
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data: Buffer) => { output.push(data) })
  const ended = once(child, 'close')
  owner.teardown(async () => {
    child.kill('SIGKILL')
    await ended
  })
  await until(`${file} listens`, async () => {
    if (child.exitCode !== null) throw new Error(`The app has ended: ${Buffer.concat(output).toString()}`)
    return await fetch(address).then(() => true, () => false)
  }, 60_000)
  return { address }
}

/** The answers of the app of the README: before a logout, after it, while Redis stalls, and when Redis is back. */
export const expectedAnswers = ['login 200', 'secret 200', 'logout 200', 'secret 401', 'secret 503', 'secret 401']

/** Signs in to the app of the README, logs out, and lets its Redis stall. Returns the answers. */
export async function useExample ({ address }: RunningApp, redis: OwnRedis): Promise<string[]> {
  const answers: string[] = []
  let headers: Record<string, string> = {}
  let text = ''
  async function send (method: string, name: string): Promise<number> {
    const response = await fetch(`${address}/${name}`, { method, headers, signal: AbortSignal.timeout(60_000) })
    text = await response.text()
    return response.status
  }
  async function ask (method: string, name: string): Promise<void> {
    answers.push(`${name} ${await askAgain(() => send(method, name), name === 'logout')}`)
  }
  await ask('POST', 'login')
  const { token } = JSON.parse(text) as { token: string }
  headers = { authorization: `Bearer ${token}` }
  await ask('GET', 'secret')
  await ask('POST', 'logout')
  await ask('GET', 'secret')
  redis.pause()
  try {
    answers.push(`secret ${await send('GET', 'secret')}`)
  } finally {
    redis.resume()
  }
  // Until the connection is back, the answer is still 503.
  await ask('GET', 'secret')
  return answers
}
