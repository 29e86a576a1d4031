import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import fastifyJwt from '@fastify/jwt'
import t from 'tap'
import { createTrusted } from '../../plugins/auth/auth.ts'
import { createTestBlocklist, createTestTokens } from '../../plugins/auth/testing.ts'
import { get } from '../support/requests.ts'
import { expectLogout, plugin } from './app-of-page.ts'
import { blocks, read } from './markdown.ts'

const page = read('docs/move-an-app.md')
const [recipe = ''] = blocks(page, 'ts')
const [move = '', keep = ''] = blocks(page, 'diff')

/** Applies a diff without line numbers: each line that is kept or removed stands in the text, in this order. */
function apply (text: string, diff: string): string {
  const lines = text.split('\n')
  let at = 0
  for (const line of diff.split('\n').filter(line => line.trim() !== '')) {
    const [sign, content] = [line[0], line.slice(1)]
    if (sign === '+') {
      lines.splice(at++, 0, content)
      continue
    }
    const found = lines.indexOf(content, at)
    if (found === -1) throw new Error(`The text has no line ${content}`)
    if (sign === '-') lines.splice(at = found, 1)
    else at = found + 1
  }
  return lines.join('\n')
}

t.test('the known recipe moves over with +10 -2 lines at most, and both forms log out', async t => {
  const count = (sign: string) => move.split('\n').filter(line => line.startsWith(sign)).length
  t.ok(count('+') <= 10 && count('-') <= 2, `+${count('+')} -${count('-')}`)
  for (const [name, code] of Object.entries({ before: recipe, after: apply(recipe, move) })) {
    expectLogout(t, code
      .replace("'fastify-signout/trusted'", plugin)
      .replace(/from '(fastify|@fastify\/jwt|ioredis)'/g, (_text, name) => `from '${import.meta.resolve(name)}'`), name)
  }
})

t.test('two lines keep the 503 of an app that turns every failure into 401 (P3)', async t => {
  const kept = keep.split('\n').filter(line => line.startsWith('+'))
  t.equal(kept.length, 2)
  const original = keep.split('\n').filter(line => !line.startsWith('+')).map(line => line.slice(1)).join('\n')
  for (const [code, expected] of [[original, 401], [apply(original, keep), 503]] as const) {
    const app = Fastify() as unknown as FastifyInstance
    t.teardown(() => app.close())
    const blocklist = createTestBlocklist()
    const secret = 'the secret of an app that says 401'
    await app.register(fastifyJwt, { secret, trusted: createTrusted(blocklist) })
    type Authenticate = (request: FastifyRequest, reply: FastifyReply) => Promise<void>
    new Function('app', code)(app) // eslint-disable-line no-new-func
    app.get('/', { onRequest: (app as unknown as { authenticate: Authenticate }).authenticate }, async () => 'in')
    const token = createTestTokens({ secret }).issue()
    t.equal((await get(app, '/', token)).statusCode, 200)
    t.equal((await get(app, '/', 'x')).statusCode, 401)
    blocklist.lose()
    t.equal((await get(app, '/', token)).statusCode, expected)
  }
})
