import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Test } from 'tap'
import { findFreePort } from '../../scripts/services/programs.ts'

/** Servers in place of replicas, each at an address of its own and all on one port. They count what reaches them. */
export interface FakeReplicas {
  hosts: string[]
  port: number
  /** The requests so far, without those for the health. */
  received: Array<{ host: string, route: string, headers: IncomingHttpHeaders }>
  /** The connections that had such a request. */
  connections: Set<Socket>
  /** How many of the next requests are read and then broken off without an answer. */
  toBreakOff: number
  /** The replicas whose `/health/ready` is 503. */
  unready: Set<string>
  /** Stops one replica at once, with its connections. */
  stop (host: string): Promise<void>
}

/** Returns addresses of this machine, one for each replica. A client has yet another one. */
export function hostsOf (count: number): string[] {
  return Array.from({ length: count }, (_, index) => `127.0.0.${index + 2}`)
}

export async function startFakeReplicas (t: Test, count = 2): Promise<FakeReplicas> {
  const port = await findFreePort()
  const fakes: FakeReplicas = {
    hosts: hostsOf(count), port, received: [], connections: new Set(), toBreakOff: 0, unready: new Set(), stop
  }
  const servers = new Map(fakes.hosts.map(host => [host, createServer((request, response) => {
    answer(fakes, host, request, response)
  })]))
  for (const [host, server] of servers) {
    server.listen(port, host)
    await once(server, 'listening')
    t.teardown(() => stop(host))
  }
  return fakes

  async function stop (host: string): Promise<void> {
    const server = servers.get(host)
    if (server?.listening !== true) return
    const closed = once(server, 'close')
    server.close()
    server.closeAllConnections()
    await closed
  }
}

function answer (fakes: FakeReplicas, host: string, request: IncomingMessage, response: ServerResponse): void {
  if (request.url === '/health/ready') {
    response.writeHead(fakes.unready.has(host) ? 503 : 200).end()
    return
  }
  fakes.received.push({ host, route: `${request.method} ${request.url}`, headers: request.headers })
  fakes.connections.add(request.socket)
  request.resume().once('end', () => {
    if (fakes.toBreakOff > 0) {
      fakes.toBreakOff--
      request.socket.destroy()
    } else {
      const status = fakes.unready.has(host) ? 503 : 200
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify({ host }))
    }
  })
}
