import { setTimeout as sleep } from 'node:timers/promises'
import { pick, type Draw } from '../../support/draw.ts'
import type { Account } from '../../support/people.ts'
import type { PlannedRequest, Recorder, Target, Tokens } from './recorder.ts'

export interface OperatorOptions {
  recorder: Recorder
  targets: readonly Target[]
  username: string
  /** The shortest pause between two acts, in milliseconds. */
  pauseMs: number
  /** If true, the roles of these users are changed too. */
  changesRoles: boolean
  accounts: readonly Account[]
  /** Returns a token of the operator, if there is one. */
  tokens: () => Tokens | undefined
  /** Called with the sessions that an act has ended. */
  onEnded: (sessions: readonly string[]) => void
}

/**
 * Creates the acts of an operator, one after another: rotate the signing key, change a role if there are accounts for
 * that, retire the key as compromised, and send everyone out.
 */
export function createOperator (
  { recorder, targets, username, pauseMs, changesRoles, accounts, tokens, onEnded }: OperatorOptions
) {
  type Act = (bearer: Tokens, draw: Draw) => Omit<PlannedRequest, 'client' | 'bearer'> & { onSuccess?: () => void }
  /** The roles that were set. A role is unknown while the answer to its change is missing. */
  const roles = new Map<string, 'user' | 'admin' | 'unknown'>()
  let turn = 0

  function sessionsOf (client?: string): string[] {
    const { operations } = recorder.history
    return [...new Set(operations
      .filter(operation => client === undefined || operation.client === client)
      .flatMap(({ issued }) => issued?.session ?? []))]
  }

  const rotateKey: Act = () => ({ kind: 'request', route: 'POST /keys/rotate' })
  const changeRole: Act = (_, draw) => {
    const { id, username: client } = pick(draw, accounts)
    const before = roles.get(id) ?? 'user'
    const role = before === 'user' ? 'admin' : 'user'
    roles.set(id, 'unknown')
    return {
      kind: 'ending',
      route: 'PUT /users/{id}/role',
      path: `/users/${id}/role`,
      body: { role },
      // A role that is set already ends no session.
      ends: before === 'unknown' ? [] : sessionsOf(client),
      alsoEnds: { client },
      onSuccess: () => { roles.set(id, role) }
    }
  }
  const retireKey: Act = ({ kid }) => ({
    kind: 'request',
    route: 'POST /keys/{kid}/retire',
    path: `/keys/${kid}/retire`,
    body: { compromised: true },
    compromises: kid
  })
  const sendEveryoneOut: Act = () => ({
    kind: 'ending',
    route: 'POST /revocations',
    body: { everyone: true, reason: 'a test' },
    ends: sessionsOf(),
    alsoEnds: 'everyone'
  })
  const acts = [rotateKey, ...changesRoles ? [changeRole] : [], retireKey, sendEveryoneOut]

  return {
    async act (draw: Draw): Promise<void> {
      await sleep(pauseMs + draw(pauseMs))
      const bearer = tokens()
      if (bearer === undefined) return
      const { onSuccess, ...plan } = (acts[turn % acts.length] as Act)(bearer, draw)
      const { operation } = await recorder.ask(pick(draw, targets), { ...plan, client: username, bearer })
      // An act that a fault has hindered is tried again: otherwise chance would decide how often it succeeds.
      if (operation.status === 200 || operation.status === 409) turn++
      if (operation.status !== 200) return
      onSuccess?.()
      if (operation.kind === 'ending') onEnded(operation.ends)
    }
  }
}
