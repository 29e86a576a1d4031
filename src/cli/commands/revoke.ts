import type { RevocationOutcome, RevocationRequest } from '../../administration/revocation-requests.ts'
import { parseUuid } from '../../input/uuid.ts'
import type { TokenOrId } from '../arguments.ts'
import { findUser, unknownUser } from './find-user.ts'
import { CommandError, orNotFound } from '../failure.ts'
import { withApp, withAppToEnd, type App } from '../open-app.ts'
import { print } from '../terminal.ts'

/** The target of `signout revoke`. Exactly one of the first three properties is set. */
export interface Target {
  user: string | undefined
  session: string | undefined
  token: TokenOrId | undefined
  expiresAt: number | undefined
}

/** Revokes a target, or prints what would be revoked. */
export async function revoke (target: Target, isDryRun: boolean): Promise<void> {
  const open = isDryRun ? withApp : withAppToEnd
  await open(async app => {
    const { request, nothing, unknown } = await toRequest(app, target)
    const { preview, revoke } = app.revocationRequests
    const outcome = await orNotFound(isDryRun ? preview(request) : revoke(request, {}), unknown)
    const lines = describeOutcome(outcome, isDryRun)
    for (const line of lines) print(line)
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

async function toRequest (app: App, { user: text, session, token, expiresAt }: Target): Promise<NamedRequest> {
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

function describeOutcome ({ tokens, sessions }: RevocationOutcome, isDryRun: boolean): string[] {
  return [
    ...tokens.map(jti =>
      isDryRun
        ? `Would revoke the token ${jti}. Its session would go on.`
        : `Revoked the token ${jti}. Its session goes on.`
    ),
    ...sessions.map(sid => `${isDryRun ? 'Would end' : 'Ended'} the session ${sid}.`)
  ]
}
