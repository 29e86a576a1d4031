import type { RevocationOutcome, RevocationRequest } from '../../administration/revocation-requests.ts'
import { parseUuid } from '../../input/uuid.ts'
import type { TokenOrId } from '../arguments.ts'
import { findUser, unknownUser } from './find-user.ts'
import { confirm } from '../confirm.ts'
import { CommandError, orNotFound } from '../failure.ts'
import { withApp, withAppToEnd, type App } from '../open-app.ts'
import { toRevocationResult } from '../../schemas/schemas.ts'
import { print, printJson, printSome } from '../terminal.ts'

/** The target of `signout revoke`. Exactly one of the first four properties is set. */
export interface Target {
  user: string | undefined
  session: string | undefined
  token: TokenOrId | undefined
  everyone: boolean
  expiresAt: number | undefined
  /** With `everyone`. */
  reason: string | undefined
}

export interface RevokeSettings {
  isDryRun: boolean
  /** True if nothing has to be asked. */
  isConfirmed: boolean
  asJson: boolean
}

/** Revokes a target, or prints what would be revoked. */
export async function revoke (target: Target, { isDryRun, isConfirmed, asJson }: RevokeSettings): Promise<void> {
  const open = isDryRun ? withApp : withAppToEnd
  if (target.everyone && !isDryRun && !isConfirmed) await confirm('End all sessions of all users?')
  await open(async app => {
    const { request, nothing, unknown } = await toRequest(app, target)
    const { preview, revoke } = app.revocationRequests
    const outcome = await orNotFound(isDryRun ? preview(request) : revoke(request, {}), unknown)
    if (asJson) return printJson(toRevocationResult(outcome, isDryRun))
    const lines = describeOutcome(outcome, isDryRun)
    const { length: ended } = outcome.sessions
    printSome(lines, isDryRun ? `Would end ${ended} sessions.` : `Ended ${ended} sessions.`)
    if (lines.length === 0) print(isDryRun ? `${nothing}.` : `${nothing}. What had ended before was revoked again.`)
  })
}

interface NamedRequest {
  request: RevocationRequest
  /** The text for a target with nothing left to end. */
  nothing: string
  /** The line for a target that does not exist. */
  unknown: string
}

async function toRequest (app: App, target: Target): Promise<NamedRequest> {
  const { user: text, session, token, everyone, expiresAt, reason } = target
  if (everyone) return { request: { everyone, reason }, nothing: '', unknown: '' }
  if (token !== undefined) {
    return { request: { ...token, expiresAt }, nothing: 'The token has ended', unknown: 'There is no such token.' }
  }
  if (session !== undefined) {
    return {
      request: { sid: session },
      nothing: `The session ${session} has ended already`,
      unknown: `There is no session ${session}.`
    }
  }
  const unknown = unknownUser(String(text))
  const user = await findUser(app, String(text))
  if (user !== undefined) {
    return {
      request: { subject: user.id },
      nothing: `${user.username} (${user.id}) has no session left to end`,
      unknown
    }
  }
  // The sessions of a deleted user are kept for a time, and can be revoked again.
  const id = parseUuid(String(text))
  if (id !== undefined) {
    return { request: { subject: id }, nothing: `The user ${id} was deleted, and has no session left to end`, unknown }
  }
  throw new CommandError(unknown)
}

function describeOutcome ({ tokens, sessions, everyone }: RevocationOutcome, isDryRun: boolean): string[] {
  return [
    ...everyone === undefined ? [] : [describeEveryone(everyone, isDryRun)],
    ...tokens.map(jti =>
      isDryRun
        ? `Would revoke the token ${jti}. Its session would go on.`
        : `Revoked the token ${jti}. Its session goes on.`
    ),
    ...sessions.map(sid => `${isDryRun ? 'Would end' : 'Ended'} the session ${sid}.`)
  ]
}

function describeEveryone ({ sessions, users }: NonNullable<RevocationOutcome['everyone']>, isDryRun: boolean): string {
  const which = sessions === null ? 'every session' : `every session: ${sessions} of ${users} users`
  return isDryRun ? `Would end ${which}.` : `Ended ${which}.`
}
