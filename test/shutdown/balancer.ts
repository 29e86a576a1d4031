import { Agent, createServer, request, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout } from 'node:timers/promises'
import type { Owner } from '../support/teardown.ts'

export interface BalancerOptions {
  /** The pause between two questions for readiness, in milliseconds. */
  checkEveryMs: number
  /** The time from an answer until it takes effect, in milliseconds, as in a cluster that has to spread it. */
  lagMs: number
}

/**
 * A load balancer that learns late which replicas are ready. It keeps its connections, sends each request once, and
 * answers 502 if that fails.
 */
export interface Balancer {
  address: string
  /** Returns the number of replicas that get requests now. */
  countReady (): number
}

export async function startBalancer (
  t: Owner, replicas: readonly URL[], { checkEveryMs, lagMs }: BalancerOptions
): Promise<Balancer> {
  const agent = new Agent({ keepAlive: true })
  const over = new AbortController()
  const ready = new Set<URL>()
  let turn = 0

  async function watch (replica: URL): Promise<void> {
    while (!over.signal.aborted) {
      const isReady = await fetch(new URL('/health/ready', replica)).then(({ ok }) => ok, () => false)
      const apply = () => isReady ? ready.add(replica) : ready.delete(replica)
      setTimeout(lagMs, undefined, over).then(apply, () => {})
      await setTimeout(checkEveryMs, undefined, over).catch(() => {})
    }
  }

  function pass (received: IncomingMessage, response: ServerResponse): void {
    const fail = () => { if (!response.headersSent) response.writeHead(502).end() }
    const replica = [...ready][turn++ % Math.max(1, ready.size)]
    if (replica === undefined) {
      fail()
      return
    }
    const { method, url: path, headers } = received
    const sent = request({ host: replica.hostname, port: replica.port, method, path, headers, agent }, answer => {
      const { connection: _, ...kept } = answer.headers
      response.writeHead(answer.statusCode ?? 502, kept)
      answer.on('error', fail).pipe(response)
    })
    received.pipe(sent.on('error', fail))
  }

  const server = createServer(pass)
  await new Promise<void>(resolve => { server.listen(0, '127.0.0.1', resolve) })
  const watching = replicas.map(watch)
  t.teardown(async () => {
    over.abort()
    server.close()
    server.closeAllConnections()
    agent.destroy()
    await Promise.all(watching)
  })
  return { address: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, countReady: () => ready.size }
}
