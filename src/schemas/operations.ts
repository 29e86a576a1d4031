import { Type } from 'typebox'
import { PublicJwk } from '../db/public-jwk.ts'
import { component, strict } from './component.ts'

export const Health = component('Health', Type.Object({
  status: Type.Literal('ok'),
  blocklist: Type.Optional(Type.Literal('behind'))
}, strict))

/** RFC 7517, section 5. */
export const JsonWebKeySet = component('JsonWebKeySet', Type.Object({
  keys: Type.Array(PublicJwk, { maxItems: 1000 })
}, strict))
