import { Type, type Static, type TSchema } from 'typebox'

/**
 * A schema with a name. It becomes a named component of the OpenAPI document, and a named type in generated clients.
 */
export type Component = TSchema & { $id: string }

export function component<S extends TSchema> ($id: string, schema: S): S & { $id: string } {
  return Object.assign(schema, { $id })
}

/** For objects: what is not known is refused. */
export const strict = { additionalProperties: false } as const

export const Uuid = Type.String({ format: 'uuid' })
/**
 * An id that a client sends, in any case of its letters. Validation replaces it by its canonical form. `maxLength`
 * refuses `urn:uuid:` before a UUID, which ajv-formats accepts.
 */
export const GivenUuid = Type.String({ format: 'uuid', maxLength: 36, 'x-lower-cased': true })
export const Instant = Type.String({ format: 'date-time' })

/** A value that may be missing: null says so, since generated clients tell it from a property that was forgotten. */
export function nullable<S extends TSchema> (schema: S) {
  return Type.Union([schema, Type.Null()])
}

/** For a request that has no body. An empty object passes too, since some clients always send one. */
export const NoBody = Type.Unsafe<null | Record<string, never>>({
  type: ['object', 'null'],
  additionalProperties: false
})

/** The id in an address. */
export const IdParams = Type.Object({ id: GivenUuid })

/**
 * Marks a query parameter that has a default: clients may leave it out, and handlers always have it, since validation
 * fills the default in.
 */
export function defaulted<S extends TSchema> (schema: S): S {
  return Type.Optional(schema) as unknown as S
}

/** Which page of a list. */
export const PageQuery = Type.Object(
  {
    limit: defaulted(
      Type.Integer({ minimum: 1, maximum: 100, default: 50, description: 'How many a page has at most.' })
    ),
    cursor: Type.Optional(Type.String({ maxLength: 200, description: '`next_cursor` of the page before.' }))
  },
  strict
)

export const NextCursor = nullable(Type.String({ description: 'Asks for the next page; null on the last one.' }))

/**
 * Refers to a named component. Responses must: given inline, a component that another context refers to cannot be
 * resolved by fast-json-stringify-compiler 5.2.
 */
export function ref<S extends Component> (schema: S) {
  return Type.Unsafe<Static<S>>(Type.Ref(`${schema.$id}#`))
}

/** A successful response of a route: what it carries, what it means, and its headers beside the usual ones. */
export function answer<S extends Component> (schema: S, description: string, headers?: Record<string, TSchema>) {
  return Type.Unsafe<Static<S>>({ ...ref(schema), description, ...(headers && { headers }) })
}

/** A successful response that carries nothing (204). */
export function noContent (description: string) {
  return Type.Unsafe<null>({ type: 'null', description })
}
