import { Type, type Static } from 'typebox'
import type { StoredKey } from '../administration/key-administration.ts'
import { signingAlgorithms } from '../db/public-jwk.ts'
import { keyStates } from '../db/tables.ts'
import { component, Instant, instantOf, ref, strict } from './component.ts'

const Kid = Type.String({
  maxLength: 100, description: 'The name of the key, as in the header of its tokens: its thumbprint.'
})

export const Key = component('Key', Type.Object({
  kid: Kid,
  algorithm: Type.Enum([...signingAlgorithms]),
  state: Type.Enum([...keyStates], {
    description:
      '`spare`: published, and signs next. `active`: signs. `retired`: verifies what it has signed. `compromised`: refused for ever.'
  }),
  created_at: Instant,
  signs_since: Type.Optional(Instant),
  retired_at: Type.Optional(Instant),
  verifies_until: Type.Optional(
    instantOf('When the last token that it has signed expires.')
  )
}, strict))

export const Keys = component('Keys', Type.Object({
  keys: Type.Array(ref(Key), { maxItems: 1000, description: 'Oldest first.' })
}, strict))

export const KeyParams = Type.Object({ kid: Type.String({ minLength: 1, maxLength: 100, description: 'The `kid`.' }) })

export const KeyRetirement = component('KeyRetirement', Type.Object({
  compromised: Type.Optional(Type.Boolean({
    default: false,
    description:
      'True if the key may have leaked: all its tokens are refused at once, for ever. False: it is replaced as planned.'
  }))
}, strict))

/** Returns keys as administrators see them: nothing of their private parts. */
export function toKeys (keys: readonly StoredKey[]): Static<typeof Keys> {
  return {
    keys: keys.map(({ kid, publicJwk, state, createdAt, signsSince, retiredAt, verifiesUntil }) => ({
      kid,
      algorithm: publicJwk.alg,
      state,
      created_at: createdAt.toISOString(),
      ...signsSince !== null && { signs_since: signsSince.toISOString() },
      ...state !== 'spare' && retiredAt !== null && { retired_at: retiredAt.toISOString() },
      ...verifiesUntil !== null && { verifies_until: verifiesUntil.toISOString() }
    }))
  }
}
