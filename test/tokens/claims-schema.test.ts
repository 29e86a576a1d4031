import t from 'tap'
import { Type } from 'typebox'
import { compileClaimsSchema } from '../../src/tokens/claims-schema.ts'

const draft = (name: string) => `https://json-schema.org/draft/${name}/schema`
const roles = (keyword: object) => ({ type: 'object', properties: { roles: { type: 'array', ...keyword } } })

/** Schemas of several kinds, with claims that they accept and claims that they refuse. */
const schemas: Record<string, [schema: object, accepted: object[], refused: object[]]> = {
  'a JSON Schema': [
    { type: 'object', required: ['tenant'], properties: { tenant: { type: 'string', format: 'uuid' } } },
    [{ tenant: '3f0f2c9e-5b0a-4a53-9d0c-0f7f9f4a1f7e' }], [{}, { tenant: 5 }, { tenant: 'a' }]
  ],
  'a JSON Schema of draft 7': [
    { $schema: 'http://json-schema.org/draft-07/schema#', ...roles({ items: [{ const: 'admin' }, { minimum: 0 }] }) },
    [{ roles: ['admin', 1] }], [{ roles: [1, 'admin'] }]
  ],
  'a JSON Schema of draft 2019-09': [
    { $schema: draft('2019-09'), type: 'object', properties: { a: {} }, unevaluatedProperties: false },
    [{ a: 1 }], [{ b: 1 }]
  ],
  'a JSON Schema of draft 2020-12': [
    { $schema: draft('2020-12'), ...roles({ prefixItems: [{ const: 'admin' }] }) },
    [{ roles: ['admin'] }], [{ roles: [1] }]
  ],
  'a name that every object inherits': [{ required: ['constructor'] }, [{ constructor: 1 }], [{}]],
  'a TypeBox schema': [
    Type.Object({ tenant: Type.String(), at: Type.Optional(Type.Tuple([Type.Number(), Type.Number()])) }),
    [{ tenant: 'a' }, { tenant: 'a', at: [1, 2] }], [{}, { tenant: 1 }, { tenant: 'a', at: [1] }]
  ],
  'a TypeBox schema with refinements': [
    Type.Object({ tenant: Type.Refine(Type.Refine(Type.String(), text => text !== 'b'), text => text !== 'c') }),
    [{ tenant: 'a' }], [{ tenant: 'b' }, { tenant: 'c' }, {}]
  ]
}

for (const [name, [schema, accepted, refused]] of Object.entries(schemas)) {
  t.test(`claims are checked by ${name}`, async t => {
    const meetsSchema = await compileClaimsSchema(schema)
    for (const claims of accepted) t.equal(meetsSchema(claims), true, JSON.stringify(claims))
    for (const claims of refused) t.equal(meetsSchema(claims), false, JSON.stringify(claims))
  })
}

t.test('a check of claims changes nothing: no default, no conversion, no removal', async t => {
  const meetsSchema = await compileClaimsSchema({
    type: 'object', properties: { level: { type: 'number' }, name: { type: 'string', default: 'a' } }
  })
  const claims = { level: 1, other: true }
  t.ok(meetsSchema(claims))
  t.same(claims, { level: 1, other: true })
  t.notOk(meetsSchema({ level: '1' }))
})

t.test('claims that are no schema are refused with the reason, and an asynchronous schema is too', async t => {
  const circular: { properties: Record<string, unknown> } = { properties: {} }
  circular.properties['self'] = circular
  for (const [schema, reason] of [
    [[], /it is a list/],
    [{ tenant: { type: 'string' } }, /unknown keyword: "tenant"/],
    [{ type: 'text' }, /type/],
    [{ type: 'object', requird: ['sub'] }, /unknown keyword: "requird"/],
    [{ type: 'object', properties: { at: { type: 'string', format: 'moment' } } }, /unknown format "moment"/],
    [{ $async: true, type: 'object' }, /asynchronous/],
    [{ '~standard': { version: 1, vendor: 'other' }, type: 'object', def: {} }, /unknown keyword/],
    [Type.Object({ at: Type.BigInt() }), /type/],
    [circular, /call stack/]
  ] as const) {
    const compiling = compileClaimsSchema(schema)
    await t.rejects(compiling, { name: 'TypeError', message: /^The option claims is not a JSON Schema/ })
    await t.rejects(compiling, { message: reason })
  }
})
