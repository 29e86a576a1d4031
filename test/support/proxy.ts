import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import type { Owner } from './teardown.ts'

let hasBeenIdle = false
/**
 * A process whose connections broke may take for ever to close handles when it ends on its own (nodejs/node#47748). So
 * it exits when there is nothing more to do, and tap has printed everything.
 */
process.on('beforeExit', () => {
  if (hasBeenIdle) process.exit()
  hasBeenIdle = true
  setImmediate(() => {})
})

/** A TCP proxy in front of a server, which can be made to fail as networks do. */
export interface Proxy {
  port: number
  /** Lets nothing pass any more, in either direction, on old connections or new ones. Both ends notice nothing. */
  stall (): void
  /** Lets everything pass again, including what was held back. */
  resume (): void
  /** Breaks open connections, and each new one at once, as if no server were there. */
  stop (): void
  /** Accepts connections again. */
  start (): void
  /** Breaks open connections, and leads new ones to another server. */
  lead (port: number): void
  /** Resets open connections. New ones work. */
  reset (): void
  /**
   * Closes the end of the server of open connections. The end of the client stays open, and notices nothing. New ones
   * work.
   */
  halfOpen (): void
  /** Delays everything that is sent, in either direction, by so many milliseconds. */
  delay (ms: number): void
  /** Lets requests arrive, and loses the answers. */
  loseReplies (): void
  /** Lets answers arrive again. Connections that have lost some break: no network loses the middle of a stream. */
  keepReplies (): void
  /** Returns the number of open connections. */
  countConnections (): number
}

/** The present state of the network. */
interface Weather {
  stalled: boolean
  losesReplies: boolean
  delayMs: number
}

/** A connection of a client, and the one to the server that belongs to it. */
interface Link {
  client: Socket
  upstream: Socket
  hasLost: boolean
}

export async function proxyTo (t: Owner, host: string, port: number): Promise<Proxy> {
  const links = new Set<Link>()
  const weather: Weather = { stalled: false, losesReplies: false, delayMs: 0 }
  let stopped = false
  let target = port
  const open = () => [...links].flatMap(({ client, upstream }) => [client, upstream])
  function breakConnections (): void {
    for (const socket of open()) socket.destroy()
  }

  function join (client: Socket): void {
    const link: Link = { client, upstream: connect({ host, port: target }), hasLost: false }
    links.add(link)
    forward(client, link.upstream, weather, () => false)
    forward(link.upstream, client, weather, () => {
      link.hasLost ||= weather.losesReplies
      return weather.losesReplies
    })
    for (const [from, to] of [[client, link.upstream], [link.upstream, client]] as const) {
      from.on('error', () => { to.destroy() })
      from.on('close', () => {
        // In a half-open link the end of the client outlives that of the server.
        if (links.has(link)) to.destroy()
        if (from === client) links.delete(link)
      })
      if (weather.stalled) from.pause()
    }
  }

  const server = createServer(client => {
    if (stopped) client.destroy()
    else join(client)
  })
  await new Promise<void>(resolve => { server.listen(0, '127.0.0.1', resolve) })
  const abandoned = new Set<Socket>()
  t.teardown(async () => {
    for (const socket of [...open(), ...abandoned]) socket.destroy()
    await new Promise(resolve => { server.close(resolve) })
  })
  return {
    port: (server.address() as AddressInfo).port,
    stall () {
      weather.stalled = true
      for (const socket of open()) socket.pause()
    },
    resume () {
      weather.stalled = false
      for (const socket of open()) socket.resume()
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
    reset () { for (const socket of open()) socket.resetAndDestroy() },
    halfOpen () {
      for (const link of links) {
        links.delete(link)
        abandoned.add(link.client)
        link.client.on('close', () => { abandoned.delete(link.client) })
        link.upstream.destroy()
      }
    },
    delay (ms) { weather.delayMs = ms },
    loseReplies () { weather.losesReplies = true },
    keepReplies () {
      weather.losesReplies = false
      for (const { hasLost, client } of links) if (hasLost) client.destroy()
    },
    countConnections: () => links.size
  }
}

/** Forwards what one end sends, in its order and when it is due, unless it is lost. */
function forward (from: Socket, to: Socket, weather: Weather, isLost: () => boolean): void {
  const queue: Array<{ dueAt: number, send: () => void }> = []
  function sendDue (): void {
    while (queue[0] !== undefined && queue[0].dueAt <= performance.now()) queue.shift()?.send()
    if (queue[0] !== undefined) setTimeout(sendDue, queue[0].dueAt - performance.now())
  }
  function hand (send: () => void): void {
    const isIdle = queue.length === 0
    queue.push({ dueAt: performance.now() + weather.delayMs, send })
    if (isIdle) sendDue()
  }
  from.on('data', (chunk: Buffer) => {
    if (isLost()) return
    hand(() => {
      if (to.destroyed || to.write(chunk)) return
      from.pause()
      to.once('drain', () => { if (!weather.stalled) from.resume() })
    })
  })
  from.on('end', () => { hand(() => { to.end() }) })
}
