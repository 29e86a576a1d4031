import type { FastifyInstance } from 'fastify'
import t from 'tap'
import { loadConfig } from '../../../src/config.ts'
import { buildUnready, serversEnv } from '../../support/app.ts'

type Schemas = Record<string, object | undefined>

t.test('every schema of every route can be compiled, although the first request is what compiles it', async t => {
  const app = buildUnready(t, loadConfig(await serversEnv(t)))
  const routes: Array<{ method: string, url: string, schema: Schemas, plugin: FastifyInstance }> = []
  app.addHook('onRoute', function ({ method, url, schema = {} }) {
    routes.push({ method: String(method), url, schema: schema as Schemas, plugin: this })
  })
  await app.ready()
  let compiled = 0
  for (const { method, url, schema: { response = {}, ...schemas }, plugin } of routes) {
    for (const httpPart of ['body', 'params', 'querystring', 'headers']) {
      const schema = schemas[httpPart]
      if (schema === undefined) continue
      const validate = plugin.validatorCompiler?.({ schema, method, url, httpPart }) as (sent: object) => unknown
      t.doesNotThrow(() => validate({}), `${method} ${url} ${httpPart}`)
      compiled++
    }
    for (const [httpStatus, schema] of Object.entries(response)) {
      const serialize = plugin.serializerCompiler?.({ schema: schema as object, method, url, httpStatus })
      try {
        serialize?.({})
      } catch (error) {
        const isOfData = /is required!$|does not match schema definition/
        t.match((error as Error).message, isOfData, `${method} ${url} ${httpStatus}`)
      }
      compiled++
    }
  }
  t.ok(compiled > 100, `${compiled} schemas`)
})
