import { randomName } from '../support/services.ts'
import { password } from '../support/people.ts'
import type { Operation } from '../faults/history/operations.ts'
import type { Answered, PlannedRequest, Recorder, Target, Tokens } from '../faults/history/recorder.ts'
import type { UpgradeViolation } from './checker.ts'

/** The limit on wrong passwords for one account from one place, as a setting. */
export const wrongPasswordLimit = { attempts: 4, setting: '4/900' }

/** Two replicas: one that makes something, and one that uses it. */
export interface Crossing {
  recorder: Recorder
  maker: Target
  user: Target
  /** The username of an administrator. */
  administrator: string
}

/** Sends a request, and adds a violation if the answer is another one. */
type Expect = (
  target: Target, answer: string, asked: Omit<PlannedRequest, 'client' | 'kind'> & { kind?: PlannedRequest['kind'] }
) => Promise<Answered>

/**
 * Lets one replica use what another one has made: accounts, tokens of both kinds, endings, roles, signing keys and
 * counts of wrong passwords. Returns what was not shared.
 */
export async function cross ({ recorder, maker, user, administrator }: Crossing): Promise<UpgradeViolation[]> {
  const client = `user-${randomName()}`
  const violations: UpgradeViolation[] = []
  const expect: Expect = async (target, answer, asked) => {
    const answered = await recorder.ask(target, { kind: 'request', client, ...asked })
    const { status, error } = answered.operation
    if (answer !== `${status}${error === undefined ? '' : ` ${error}`}`) {
      const text = `${maker.name} made it, ${user.name} uses it, and ${target.name} had to answer ${answer}`
      violations.push(notShared(text, answered.operation))
    }
    return answered
  }
  await expect(maker, '201', { route: 'POST /register', body: { username: client, password } })
  await crossTokens(expect, maker, user, client, violations)
  await crossRole(expect, maker, user, client, administrator)
  await crossWrongPasswords(expect, maker, user, client)
  await crossWrongPasswords(expect, maker, user, `unknown-${randomName()}`)
  return violations
}

function notShared (text: string, ...operations: Operation[]): UpgradeViolation {
  return { kind: 'not shared', text, operations }
}

async function signIn (expect: Expect, target: Target, username: string): Promise<Tokens | undefined> {
  const { tokens } = await expect(target, '200', {
    kind: 'sign-in', route: 'POST /login', body: { username, password }
  })
  return tokens
}

function refresh (expect: Expect, target: Target, tokens: Tokens, answer = '200'): Promise<Answered> {
  return expect(target, answer, { kind: 'refresh', route: 'POST /refresh', refresh: tokens, ends: [tokens.session] })
}

/** Both replicas accept the tokens that either has issued, and refuse them once either has ended their session. */
async function crossTokens (
  expect: Expect, maker: Target, user: Target, username: string, violations: UpgradeViolation[]
): Promise<void> {
  const first = await signIn(expect, maker, username)
  if (first === undefined) return
  await expect(user, '200', { route: 'GET /me', bearer: first })
  const refreshed = await refresh(expect, user, first)
  if (refreshed.tokens === undefined) return
  await expect(maker, '200', { route: 'GET /me', bearer: refreshed.tokens })
  // As two tabs do: within the grace, the other replica returns the same pair.
  const repeated = await refresh(expect, maker, first)
  if (repeated.tokens !== undefined && repeated.tokens.refreshToken !== refreshed.tokens.refreshToken) {
    const text = 'the same refresh token gets another pair from the other build'
    violations.push(notShared(text, refreshed.operation, repeated.operation))
  }
  const { tokens: last } = await refresh(expect, maker, refreshed.tokens)
  if (last === undefined) return
  await expect(user, '200', { route: 'GET /token', bearer: last })
  await expect(maker, '200', { kind: 'ending', route: 'POST /logout', bearer: last, ends: [last.session] })
  await expect(user, '401 token_revoked', { route: 'GET /token', bearer: last })
  await expect(user, '401 token_revoked', { route: 'GET /token', bearer: first })
  await refresh(expect, user, last, '401 token_revoked')
}

/** A change of a role ends the sessions at both replicas, and both respect the new role. */
async function crossRole (
  expect: Expect, maker: Target, user: Target, username: string, administrator: string
): Promise<void> {
  const [before, bearer] = [await signIn(expect, user, username), await signIn(expect, maker, administrator)]
  if (before === undefined || bearer === undefined) return
  await expect(maker, '200', {
    kind: 'ending',
    route: 'PUT /users/{id}/role',
    path: `/users/${before.user}/role`,
    bearer,
    body: { role: 'admin' },
    ends: [before.session]
  })
  await expect(user, '401 token_revoked', { route: 'GET /token', bearer: before })
  const after = await signIn(expect, maker, username)
  if (after !== undefined) await expect(user, '200', { route: 'GET /users', bearer: after })
}

/** Wrong passwords count together at both replicas. */
async function crossWrongPasswords (expect: Expect, maker: Target, user: Target, username: string): Promise<void> {
  const attempt = (target: Target, answer: string) =>
    expect(target, answer, { route: 'POST /login', body: { username, password: 'a wrong password' } })
  for (let count = 0; count < wrongPasswordLimit.attempts; count++) {
    await attempt(count % 2 === 0 ? maker : user, '401 invalid_credentials')
  }
  await attempt(user, '429 too_many_requests')
  await attempt(maker, '429 too_many_requests')
}
