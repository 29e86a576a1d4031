import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import type { Test } from 'tap'

/** A TCP proxy in front of a server, which can be made to fail as networks do. */
export interface Proxy {
  port: number
  /** From now on nothing passes, in either direction, on old connections or new ones, and nobody is told. */
  stall (): void
  /** What was held back passes now, and so does everything else. */
  resume (): void
  /** How many connections are open. */
  countConnections (): number
}

export async function proxyTo (t: Test, host: string, port: number): Promise<Proxy> {
  const sockets = new Set<Socket>()
  let stalled = false
  const server = createServer(client => {
    const upstream = connect({ host, port })
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
    for (const socket of sockets) socket.destroy()
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
    countConnections: () => sockets.size / 2
  }
}
