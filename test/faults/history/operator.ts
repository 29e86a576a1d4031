import { setTimeout as sleep } from 'node:timers/promises'
import { pick, type Draw } from '../../support/draw.ts'
import type { PlannedRequest, Recorder, Target, Tokens } from './recorder.ts'

export interface OperatorOptions {
  recorder: Recorder
  targets: readonly Target[]
  username: string
  /** Returns a token of the operator, if there is one. */
  tokens: () => Tokens | undefined
  /** Called with the sessions that have ended because everyone was sent out. */
  onEveryoneOut: (sessions: readonly string[]) => void
}

const pauseMs = 2_000

/**
 * Creates the acts of an operator, one after another: rotate the signing key, retire it as compromised, and send
 * everyone out.
 */
export function createOperator ({ recorder, targets, username, tokens, onEveryoneOut }: OperatorOptions) {
  let turn = 0

  function plan (bearer: Tokens): Omit<PlannedRequest, 'client' | 'bearer'> {
    switch (turn++ % 3) {
      case 0: return { kind: 'request', route: 'POST /keys/rotate' }
      case 1: {
        const { kid } = bearer
        return {
          kind: 'request',
          route: 'POST /keys/{kid}/retire',
          path: `/keys/${kid}/retire`,
          body: { compromised: true },
          compromises: kid
        }
      }
      default: {
        const sessions = recorder.history.operations.flatMap(({ issued }) => issued?.session ?? [])
        return {
          kind: 'ending',
          route: 'POST /revocations',
          body: { everyone: true, reason: 'a test' },
          ends: [...new Set(sessions)]
        }
      }
    }
  }

  return {
    async act (draw: Draw): Promise<void> {
      await sleep(pauseMs + draw(pauseMs))
      const bearer = tokens()
      if (bearer === undefined) return
      const { operation } = await recorder.ask(pick(draw, targets), { ...plan(bearer), client: username, bearer })
      if (operation.kind === 'ending' && operation.status === 200) onEveryoneOut(operation.ends)
    }
  }
}
