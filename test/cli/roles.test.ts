import t, { type Test } from 'tap'
import type { FastifyInstance } from 'fastify'
import { build, serversEnv } from '../support/app.ts'
import { fail, succeed } from '../support/cli.ts'
import { register, signIn, type Pair } from '../support/people.ts'
import { claimsOf, ended, refusals } from '../support/sessions.ts'
import { typeAnswers } from '../support/terminal.ts'

async function start (t: Test) {
  const env = await serversEnv(t)
  const app = await build(t, env)
  const { id, username } = await register(app)
  return {
    env,
    app,
    id,
    username,
    signout: (...args: string[]) => succeed(t, args, { env }),
    login: () => signIn(app, username)
  }
}

const scopeOf = (pair: Pair) => (claimsOf(pair) as unknown as { scope: string }).scope

t.test('role set, list and delete define roles, and user set-role gives one', async t => {
  const { id, username, signout, app, login } = await start(t)
  const define = ['role', 'set', 'editor', 'b', 'a b']
  t.equal(await signout(...define), 'The role editor means a b. Ended 0 sessions of 0 users.\n')
  t.equal(await signout(...define), 'The role editor means a b already. Ended 0 sessions of 0 users.\n')
  t.match(await signout('role', 'list'), /^ROLE +SCOPES +USERS\nadmin +admin +0\neditor +a b +0\nuser +user +1\n$/)
  const before = await login()
  t.equal(
    await signout('user', 'set-role', username, 'editor'),
    `${username} (${id}) has the role editor now, and all sessions have ended.\n`
  )
  t.same(await refusals(app, before), ended)
  t.equal(await signout('user', 'set-role', id, 'editor'), `${username} (${id}) has the role editor already.\n`)
  t.match(await signout('user', 'list', '--role', 'editor'), username)
  t.match(await signout('user', 'show', username), /^ROLE +editor$/m)
  t.same(JSON.parse(await signout('role', 'list', '--json')), {
    roles: [
      { name: 'admin', scopes: ['admin'], users: 0 }, { name: 'editor', scopes: ['a', 'b'], users: 1 },
      { name: 'user', scopes: ['user'], users: 0 }
    ]
  })
  t.equal(scopeOf(await login()), 'a b')
})

t.test('a change that ends sessions needs --yes without a terminal, and --dry-run ends none', async t => {
  const { env, app, username, signout, login } = await start(t)
  await signout('role', 'set', 'editor', 'a')
  await signout('user', 'set-role', username, 'editor')
  const pair = await login()
  for (const args of [['set', 'editor', 'b'], ['delete', 'editor']]) {
    t.match(
      await fail(t, 2, ['role', ...args], { env }),
      /^1 sessions of 1 users would end\. The command asks on a terminal .* There is none: give --yes\.$/
    )
    t.equal(
      await signout('role', ...args, '--dry-run'), 'Would change the role. Would end 1 sessions of 1 users.\n'
    )
  }
  t.equal((await refusals(app, pair)).access, undefined)
  t.same(JSON.parse(await signout('role', 'set', 'editor', 'b', '--yes', '--json')), {
    dry_run: false, role: 'editor', scopes: ['b'], changed: true, users: 1, sessions: 1
  })
  t.same(await refusals(app, pair), ended)
  await expectAsking(t, app, env, await login())
  t.equal(scopeOf(await login()), 'user')
})

async function expectAsking (t: Test, app: FastifyInstance, env: Record<string, string>, pair: Pair): Promise<void> {
  const prompt = 'Type yes to go on: '
  const { code: refused } = await typeAnswers(t, 'role delete editor', env, [[prompt, 'no\n']])
  t.equal(refused, 1)
  const { code, output } = await typeAnswers(t, 'role delete editor', env, [[prompt, 'yes\n']])
  t.equal(code, 0)
  t.match(output, 'Delete the role editor, and end 1 sessions of 1 users?')
  t.match(output, 'The role editor is deleted. Ended 1 sessions of 1 users.')
  t.same(await refusals(app, pair), ended)
}

t.test('roles that do not exist, and what is reserved, are refused in one line', async t => {
  const { env, username } = await start(t)
  for (const [args, code, line] of [
    [['role', 'delete', 'editor', '--yes'], 1, 'There is no role editor. signout role list shows all.'],
    [['role', 'delete', 'admin', '--yes'], 1, 'The role admin is built in. It can have other scopes.'],
    [['role', 'set', 'editor', 'admin'], 1, 'The role admin has the scope admin, and no other role can have it.'],
    [['role', 'set', 'admin', 'x', '--yes'], 1, 'The role admin has the scope admin, and no other role can have it.'],
    [['role', 'set', 'editor', 'signout:x'], 1, 'The scope signout:x is reserved for signout.'],
    [['user', 'set-role', username, 'editor'], 1, 'The role must be a role that exists.']
  ] as const) t.equal(await fail(t, code, [...args], { env }), line)
  t.match(await fail(t, 2, ['role', 'set', 'Editor', 'x'], { env }), /It must have up to 64 letters/)
  t.match(await fail(t, 2, ['role', 'set', 'editor'], { env }), /missing required argument 'scopes'/)
})

t.test('while Redis is down, a change of a role is recorded, and exits with 3', async t => {
  const { env, app, username, signout, login } = await start(t)
  await signout('role', 'set', 'editor', 'a')
  await signout('user', 'set-role', username, 'editor')
  const pair = await login()
  const away = { ...env, REDIS_URL: 'redis://127.0.0.1:1' }
  const line = await fail(t, 3, ['role', 'set', 'editor', 'b', '--yes'], { env: away })
  t.match(line, /^The revocation is recorded, and takes effect automatically/)
  t.match(await signout('role', 'set', 'editor', 'b', '--yes'), /means b already\./)
  t.same(await refusals(app, pair), ended)
})
