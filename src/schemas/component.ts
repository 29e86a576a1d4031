import { Type, type Static, type TSchema } from 'typebox'
import { maxNumericDate } from '../entries/revocation.ts'

/**
 * A schema with a name. It becomes a named component of the OpenAPI document, and a named type in generated clients.
 */
export type Component = TSchema & { $id: string }

export function component<S extends TSchema> ($id: string, schema: S): S & { $id: string } {
  return Object.assign(schema, { $id })
}

/** For objects: unknown properties are refused. */
export const strict = { additionalProperties: false } as const

/** The bounds of the numbers and texts of the API. Generators choose the type of a number by its `format`. */
const int32 = { format: 'int32', minimum: 0, maximum: 2_147_483_647 }
const uuid = { format: 'uuid', minLength: 36, maxLength: 36 }
const instant = { format: 'date-time', maxLength: 24 }

export const Uuid = Type.String(uuid)
/**
 * An id that a client sends, in any case of its letters. Validation replaces it by its canonical form. `maxLength`
 * refuses `urn:uuid:` before a UUID, which ajv-formats accepts.
 */
export const GivenUuid = Type.String({ format: 'uuid', maxLength: 36, 'x-lower-cased': true })
export const Instant = Type.String(instant)

/** Returns the schema of an id of ours, with a description. */
export const uuidOf = (description: string) => Type.String({ ...uuid, description })

/** Returns the schema of an instant, as RFC 3339 writes it, in UTC. */
export const instantOf = (description: string) => Type.String({ ...instant, description })

/** Returns the schema of a number of things, or of seconds. */
export const countOf = (description: string) => Type.Integer({ ...int32, description })

/** Returns the schema of an instant in seconds since the epoch, up to the year 9999. It outlasts 32 bits. */
export const epochSecondsOf = (description: string) =>
  Type.Integer({ format: 'int64', minimum: 0, maximum: maxNumericDate, description })

/** Returns a schema that also accepts null. So generated clients can tell a missing value from a forgotten property. */
export function nullable<S extends TSchema & { type: string }> (schema: S) {
  return Type.Unsafe<Static<S> | null>({ ...schema, type: [schema.type, 'null'] })
}

/** The body of a request that has none. An empty object is accepted too, because some clients always send one. */
export const NoBody = Type.Unsafe<null | Record<string, never>>({
  type: ['object', 'null'],
  additionalProperties: false
})

/** The id in a path. */
export const IdParams = Type.Object({ id: GivenUuid })

/**
 * Marks a query parameter that has a default. Clients may leave it out. Handlers always have it, because validation
 * fills in the default.
 */
export function defaulted<S extends TSchema> (schema: S): S {
  return Type.Optional(schema) as unknown as S
}

/** The query of a list that is divided into pages. */
export const PageQuery = Type.Object(
  {
    limit: defaulted(
      Type.Integer({
        format: 'int32', minimum: 1, maximum: 100, default: 50, description: 'The most items of a page.'
      })
    ),
    cursor: Type.Optional(Type.String({
      maxLength: 200,
      'x-must': 'must be the next_cursor of a page',
      description: 'The `next_cursor` of the page before.'
    }))
  },
  strict
)

export const NextCursor = nullable(
  Type.String({ maxLength: 200, description: 'The `cursor` of the next page. Null on the last page.' })
)

/**
 * Refers to a named component. Responses must use it: fast-json-stringify-compiler 5.2 cannot resolve an inline
 * component that another context refers to.
 */
export function ref<S extends Component> (schema: S) {
  return Type.Unsafe<Static<S>>(Type.Ref(`${schema.$id}#`))
}

/** Returns the schema of a successful response. `headers` come in addition to the usual ones. */
export function answer<S extends Component> (schema: S, description: string, headers?: Record<string, TSchema>) {
  return Type.Unsafe<Static<S>>({ ...ref(schema), description, ...(headers && { headers }) })
}

/** Returns the schema of a successful response without a body (204 and 304). */
export function noContent (description: string, headers?: Record<string, TSchema>) {
  return Type.Unsafe<null>({ type: 'null', description, ...(headers && { headers }) })
}
