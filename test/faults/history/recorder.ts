import { createHash } from 'node:crypto'
import { Agent, request as sendRequest } from 'node:http'
import { findBreach } from '../../support/contract.ts'
import { createOwner, type Owner } from '../../support/teardown.ts'
import { emptyHistory, type History, type Kind, type Operation } from './operations.ts'

/** A replica that gets requests. */
export interface Target {
  name: string
  address: string
  /** True for a replica of an older build, whose answers are not in openapi.json in every detail. */
  isOlder?: boolean
}

/** The tokens of a session that a client has. */
export interface Tokens {
  session: string
  user: string
  accessToken: string
  token: string
  /** `kid` of the key that signed the access token. */
  kid: string
  /** `exp`, in milliseconds since the epoch. */
  expiresAt: number
  refreshToken: string
}

/** The request of a client. */
export interface PlannedRequest {
  kind: Kind
  client: string
  route: string
  /** The path, if it is not that of the route. */
  path?: string
  /** The tokens whose access token is sent. */
  bearer?: Tokens
  /** The tokens whose refresh token is sent. */
  refresh?: Tokens
  body?: object
  ends?: readonly string[]
  alsoEnds?: NonNullable<Operation['alsoEnds']>
  compromises?: string
}

export interface Answered {
  operation: Operation
  tokens: Tokens | undefined
}

/** Sends requests and records the answers. */
export interface Recorder {
  history: History
  /** The milliseconds since the beginning of the run: the one clock of a history. */
  now (): number
  ask (target: Target, asked: PlannedRequest): Promise<Answered>
  close (): void
}

/** Longer than any deadline: a request without an answer by then hangs, and counts as too slow. */
const giveUpAfterMs = 30_000

export function createRecorder (): Recorder {
  const agent = new Agent({ keepAlive: true, maxSockets: 200 })
  const history = emptyHistory()
  const startedAt = performance.now()
  const now = () => performance.now() - startedAt
  let count = 0
  return {
    history,
    now,
    close: () => { agent.destroy() },
    async ask (target, asked) {
      const { kind, client, route, bearer, refresh, ends = [], alsoEnds, compromises } = asked
      const operation: Operation = {
        number: ++count,
        kind,
        route,
        client,
        replica: target.name,
        startedAt: now(),
        endedAt: Infinity,
        status: undefined,
        error: undefined,
        ...bearer && { session: bearer.session, token: bearer.token, kid: bearer.kid },
        ...refresh && { session: refresh.session, refreshToken: digest(refresh.refreshToken) },
        ends,
        ...alsoEnds !== undefined && { alsoEnds },
        ...compromises !== undefined && { compromises }
      }
      let tokens: Tokens | undefined
      try {
        const { status, body, breach } = await exchange(agent, target.address, asked)
        operation.status = status
        if (breach !== undefined && target.isOlder !== true) operation.breach = breach
        if (status >= 400) operation.error = String(body['error'])
        if (status === 200 && typeof body['refresh_token'] === 'string') tokens = toTokens(body as unknown as Issued)
      } catch (error) {
        operation.error = (error as NodeJS.ErrnoException).code ?? (error as Error).message
      }
      operation.endedAt = now()
      if (tokens !== undefined) {
        operation.issued = { session: tokens.session, token: tokens.token, refreshToken: digest(tokens.refreshToken) }
      }
      history.operations.push(operation)
      return { operation, tokens }
    }
  }
}

interface Issued { access_token: string, refresh_token: string }

function toTokens ({ access_token: accessToken, refresh_token: refreshToken }: Issued): Tokens {
  const [{ kid }, claims] = accessToken.split('.').slice(0, 2)
    .map(part => JSON.parse(Buffer.from(part, 'base64url').toString())) as [
    { kid: string }, { sid: string, sub: string, jti: string, exp: number }
  ]
  return {
    session: claims.sid,
    user: claims.sub,
    accessToken,
    token: claims.jti,
    kid,
    expiresAt: claims.exp * 1000,
    refreshToken
  }
}

/** Returns the name of a refresh token in a history, which is printed. */
function digest (refreshToken: string): string {
  return createHash('sha256').update(refreshToken).digest('hex').slice(0, 16)
}

/** Sends a request. Resolves to the answer, and to what openapi.json does not say of it. */
function exchange (
  agent: Agent, address: string, { route, path: ownPath, bearer, refresh, body }: PlannedRequest
): Promise<{ status: number, body: Record<string, unknown>, breach: string | undefined }> {
  const [method = '', routePath = ''] = route.split(' ')
  const path = ownPath ?? routePath
  const payload = body ?? (refresh && { refresh_token: refresh.refreshToken })
  const text = payload === undefined ? undefined : JSON.stringify(payload)
  return new Promise((resolve, reject) => {
    const sent = sendRequest(address + path, {
      agent,
      method,
      headers: {
        ...bearer && { authorization: `Bearer ${bearer.accessToken}` },
        ...text !== undefined && { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }
      }
    }, answer => {
      let received = ''
      answer.setEncoding('utf8')
      answer.on('data', (chunk: string) => { received += chunk })
      answer.on('error', reject)
      answer.on('end', () => {
        const { statusCode: status = 0, headers } = answer
        const breach = findBreach({ method, path, status, headers, body: received })
        resolve({ status, body: parse(received), breach })
      })
    })
    sent.setTimeout(giveUpAfterMs, () => { sent.destroy(new Error(`no answer within ${giveUpAfterMs} ms`)) })
    sent.on('error', reject)
    sent.end(text)
  })
}

function parse (text: string): Record<string, unknown> {
  try {
    return text === '' ? {} : JSON.parse(text) as Record<string, unknown>
  } catch {
    return { error: 'an answer that is no JSON' }
  }
}

/** Runs work with a recorder and an owner, and closes everything that they have opened, also after an error. */
export async function withRecorder<T> (work: (owner: Owner, recorder: Recorder) => Promise<T>): Promise<T> {
  const owner = createOwner()
  const recorder = createRecorder()
  owner.teardown(recorder.close)
  try {
    return await work(owner, recorder)
  } finally {
    await owner.close()
  }
}
