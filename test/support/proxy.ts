import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import type { Test } from 'tap'

/** A TCP proxy in front of a server, which can be made to fail as networks do. */
export interface Proxy {
  port: number
  /** From now on nothing passes, in either direction, on old connections or new ones, and nobody is told. */
  stall (): void
  /** What was held back passes now, and so does everything else. */
  resume (): void
  /** From now on it is as if nobody were there: open connections break, and new ones do at once. */
  stop (): void
  /** The server is there again. */
  start (): void
  /** Open connections break, and new ones lead to another server. */
  lead (port: number): void
  /** How many connections are open. */
  countConnections (): number
}

export async function proxyTo (t: Test, host: string, port: number): Promise<Proxy> {
  const sockets = new Set<Socket>()
  let stalled = false
  let stopped = false
  let target = port
  function breakConnections (): void {
    for (const socket of sockets) socket.destroy()
  }
  const server = createServer(client => {
    if (stopped) {
      client.destroy()
      return
    }
    const upstream = connect({ host, port: target })
    for (const [from, to] of [[client, upstream], [upstream, client]] as const) {
      sockets.add(from)
      from.on('error', () => { to.destroy() })
      from.on('close', () => { sockets.delete(from); to.destroy() })
      from.pipe(to)
      if (stalled) from.pause()
    }
  })
  await new Promise<void>(resolve => { server.listen(0, '127.0.0.1', resolve) })
  t.teardown(async () => {
    breakConnections()
    await new Promise(resolve => { server.close(resolve) })
  })
  return {
    port: (server.address() as AddressInfo).port,
    stall () {
      stalled = true
      for (const socket of sockets) socket.pause()
    },
    resume () {
      stalled = false
      for (const socket of sockets) socket.resume()
    },
    stop () {
      stopped = true
      breakConnections()
    },
    start () { stopped = false },
    lead (port) {
      target = port
      breakConnections()
    },
    countConnections: () => sockets.size / 2
  }
}
