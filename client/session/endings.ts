import { readBody, toError, type SignoutError } from '../http/errors.ts'
import type { Exclusively } from '../storage/locks.ts'
import type { SignedIn, Stored } from './pair.ts'
import type { Send } from '../http/service.ts'
import type { TokenStorage } from '../storage/storage.ts'
import { delayMs } from '../http/timing.ts'

/** A session that the user has left, and that the service still has to end. */
export interface Ending {
  session: string
  access?: string | undefined
  refresh?: string | undefined
}

/** The sessions that the service still has to end. They are stored, so that a reload goes on with them. */
export interface Endings {
  /** Adds a session. It never rejects: if the storage fails, the session is remembered until a reload. */
  add (ending: Ending): Promise<void>
  /** Tries once to end each session. Resolves to true if none is left. Tries again later if one is. */
  run (): Promise<boolean>
  close (): void
}

export interface EndingsOptions {
  key: string
  storage: TokenStorage
  exclusively: Exclusively
  send: Send
  isCookie: boolean
  /** Returns what is stored in the place of the pair. */
  peek (): Promise<Stored>
  onEnded (): void
}

/** More sessions than a user leaves without a network. */
const maxEndings = 20

export function createEndings (options: EndingsOptions): Endings {
  const { load, update } = createList(options)
  let running: Promise<boolean> | undefined
  let timer: ReturnType<typeof setTimeout> | undefined
  let rounds = 0
  let isClosed = false

  async function runOnce (): Promise<boolean> {
    let failure: SignoutError | undefined
    for (const ending of await load()) {
      try {
        await end(options, ending)
      } catch (error) {
        failure ??= error as SignoutError
        continue
      }
      await update(endings => endings.filter(({ session }) => session !== ending.session))
      options.onEnded()
    }
    if (failure === undefined) rounds = 0
    else runLater(delayMs(failure.retryAfterSeconds, ++rounds))
    return failure === undefined
  }

  function runLater (ms: number): void {
    clearTimeout(timer)
    if (isClosed) return
    timer = setTimeout(() => { run() }, ms)
    // In Node, a program that has nothing else to do may end. The next one goes on.
    ;(timer as { unref?: () => void }).unref?.()
  }

  async function run (): Promise<boolean> {
    // A round that has begun may have read the list before the last addition.
    await running
    running ??= runOnce().finally(() => { running = undefined })
    return await running
  }

  return {
    add: async ending => { await update(endings => [...endings, ending]) },
    run,
    close () {
      isClosed = true
      clearTimeout(timer)
    }
  }
}

/** Sends a logout. Rejects if the service did not say that the session has ended. */
async function end (
  { exclusively, send, isCookie, peek }: EndingsOptions, { access, refresh }: Ending
): Promise<void> {
  const attempt = async () => {
    // After another sign-in, the cookie is that of the new session. The access token ends the old one without it.
    const present = await peek().catch(() => undefined)
    const withCookie = isCookie && !(present !== undefined && 'access' in present)
    if (!withCookie && access === undefined && refresh === undefined) return undefined
    const body = refresh === undefined ? {} : { refresh_token: refresh }
    // In cookie mode it is sent once: a sign-in waits for it.
    const repeats = isCookie ? false : 'busy'
    return await send({ route: 'POST /logout', body }, { token: access, withCookie, signals: [], repeats })
  }
  const answer = await (isCookie ? exclusively('refresh', attempt) : attempt())
  if (answer === undefined) return
  if (answer.ok) {
    await readBody(answer)
    return
  }
  const error = await toError(answer)
  // Any 401 of the service says that the tokens belong to no live session: it has ended, expired, or does not exist.
  if (answer.status !== 401 || error.code === 'unexpected_answer') throw error
}

/** The stored list. Those that could not be stored are kept in memory. */
function createList ({ key, storage, exclusively }: EndingsOptions) {
  let unsaved: Ending[] = []

  async function load (): Promise<Ending[]> {
    const stored = await Promise.resolve().then(() => storage.get(key)).then(parse, () => [])
    return [...stored, ...unsaved.filter(({ session }) => !stored.some(other => other.session === session))]
  }
  return {
    load,
    async update (change: (endings: Ending[]) => Ending[]): Promise<void> {
      await exclusively('write', async () => {
        const changed = change(await load()).slice(-maxEndings)
        try {
          await (changed.length > 0 ? storage.set(key, JSON.stringify(changed)) : storage.remove(key))
          unsaved = []
        } catch {
          unsaved = changed
        }
      })
    }
  }
}

/** Returns what ends the session of a pair. */
export const toEnding = ({ session, access, refresh }: SignedIn): Ending => ({ session, access, refresh })

function parse (text: string | null | undefined): Ending[] {
  try {
    const value: unknown = JSON.parse(text ?? '[]')
    return Array.isArray(value) ? value as Ending[] : []
  } catch {
    return []
  }
}
