import { shown } from '../input/check-options.ts'

/** Returns true if the claims of a token meet a schema. It never changes them. */
export type MeetsSchema = (claims: unknown) => boolean

/** The keyword that stands for the refinements of TypeBox, which keeps them where no JSON Schema validator looks. */
const refinedBy = 'signout-refined-by'

/** One requirement of `Type.Refine`. */
interface Refinement { check: (value: unknown) => boolean }

const options = {
  // A misspelt keyword would require nothing, so it is refused.
  strictSchema: true,
  strictTypes: false,
  strictTuples: false,
  allowUnionTypes: true,
  // A claim must be the token's own, and not of the prototype of all objects.
  ownProperties: true
} as const

/**
 * Compiles a schema of claims: a JSON Schema of draft 6, 7 or 2019-09, one of draft 2020-12 that says so in `$schema`,
 * or a schema of TypeBox with its refinements. Nothing is converted, and no default is filled in.
 *
 * Rejects with a TypeError that says what is wrong if it is no such schema.
 *
 * The compiler is the one of Fastify, and is loaded here, so that an app without `claims` never loads it.
 *
 * @example
 * const meetsSchema = await compileClaimsSchema({ type: 'object', required: ['tenant'] })
 * meetsSchema({ tenant: 'a' }) // true
 */
export async function compileClaimsSchema (schema: object): Promise<MeetsSchema> {
  try {
    if (Array.isArray(schema)) throw new TypeError(`it is ${shown(schema)}`)
    const { $schema, ...rest } = visible(schema) as { $schema?: unknown, [keyword: string]: unknown }
    const ajv = await createCompiler(String($schema).includes('/2020-12/'), '~kind' in schema)
    const validate = ajv.compile(rest)
    // The result of an asynchronous schema is a promise, which is true for all claims.
    if ('$async' in validate) throw new TypeError('it is asynchronous')
    return claims => validate(claims) === true
  } catch (error) {
    throw new TypeError(
      `The option claims is not a JSON Schema (${(error as Error).message}); it must be one, or a TypeBox schema, such as { type: 'object', required: ['sub'] }.`
    )
  }
}

async function createCompiler (isNewest: boolean, isTypeBox: boolean) {
  const { default: addFormats } = await import('ajv-formats')
  const { default: { default: Ajv } } = await (isNewest ? import('ajv/dist/2020.js') : import('ajv/dist/2019.js'))
  // TypeBox makes valid schemas, so they need no check by the schema of schemas. To compile that one takes 50 ms.
  const ajv = new Ajv({ ...options, ...isTypeBox && { validateSchema: false, meta: false } })
  addFormats.default(ajv)
  ajv.addKeyword({
    keyword: refinedBy,
    schemaType: 'array',
    errors: false,
    validate: (refinements: Refinement[], value: unknown) => refinements.every(({ check }) => check(value))
  })
  return ajv
}

/** Returns a copy of a schema in which the refinements of TypeBox are a keyword. */
function visible (schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(visible)
  if (typeof schema !== 'object' || schema === null) return schema
  const copy = Object.fromEntries(Object.entries(schema).map(([keyword, value]) => [keyword, visible(value)]))
  const refinements = (schema as { '~refine'?: Refinement[] })['~refine']
  return refinements === undefined ? copy : { ...copy, [refinedBy]: refinements }
}
