import { execFileSync } from 'node:child_process'
import t, { type Test } from 'tap'
import { findProgramFolder } from '../../scripts/services/programs.ts'
import { listKeys } from '../../src/keys/key-repository.ts'
import { build, scratchFolder, secret, serversEnv, type Env } from '../support/app.ts'
import { signIn, signUp } from '../support/people.ts'
import { get, logOut, refresh } from '../support/requests.ts'
import { refusals } from '../support/sessions.ts'
import { until } from '../support/wait.ts'
import { blocks, read } from './markdown.ts'

const programs = findProgramFolder('pg_dump', 'pg_restore', 'psql')
const skip = programs === undefined ? 'the client programs of Postgres are not installed' : false

/** Returns a function that runs the commands of a document on the database of a test. */
function runnerIn (cwd: string, { DATABASE_URL }: Env): (command: string) => void {
  const env = { PATH: `${programs}:${process.env['PATH']}`, DATABASE_URL }
  return command => { execFileSync('sh', ['-c', command], { cwd, env, timeout: 60_000 }) }
}

/** Backs up, logs out of one of two sessions, and restores the backup. */
async function restoreBackup (t: Test) {
  const env = await serversEnv(t)
  const [backUp = '', restore = '', endSessions = ''] = blocks(read('docs/backup.md'), 'sh')
  const run = runnerIn(scratchFolder(t), env)
  const before = await build(t, env)
  const { username } = await signUp(before)
  const [live, ended] = [await signIn(before, username), await signIn(before, username)]
  run(backUp)
  t.equal((await logOut(before, ended.access_token)).statusCode, 200)
  const late = await signUp(before)
  await before.close()
  run(restore)
  return { live, ended, late, endSessions: () => { run(endSessions) }, start: () => build(t, env) }
}

t.test('a restore by docs/backup.md keeps revoked tokens revoked, and signs out the rest', { skip }, async t => {
  const { live, ended, late, endSessions, start } = await restoreBackup(t)
  endSessions()
  const app = await start()
  await until('the blocklist is trusted', async () => (await get(app, '/me', live.access_token)).statusCode === 200)
  t.equal((await get(app, '/me', ended.access_token)).json().error, 'token_revoked')
  t.equal((await refresh(app, ended.refresh_token)).json().error, 'token_expired')
  t.equal((await refresh(app, live.refresh_token)).json().error, 'token_expired')
  t.equal((await get(app, '/me', late.token)).statusCode, 401, 'a user who registered after the backup')
})

t.test('without step 4 of docs/backup.md, the sessions of lost logouts are live again', { skip }, async t => {
  const { ended, start } = await restoreBackup(t)
  const app = await start()
  t.equal((await refresh(app, ended.refresh_token)).statusCode, 200)
  await until('the blocklist is trusted', async () =>
    (await get(app, '/me', ended.access_token)).json().error === 'token_revoked')
})

t.test('after docs/stolen-token.md was followed, a leaked secret opens nothing, and clients refresh', async t => {
  const env = await serversEnv(t)
  const before = await build(t, env)
  const { pair } = await signUp(before)
  const stolen = await before.database.run(listKeys)
  await before.close()
  const changed = { ...env, KEY_ENCRYPTION_SECRET: 'another secret, of more than 32 bytes' }
  const after = await build(t, { ...changed, KEY_ENCRYPTION_SECRET_PREVIOUS: secret })
  await after.keyAdministration.reencrypt({})
  const commands = read('docs/stolen-token.md').matchAll(/retire (SPARE|ACTIVE)_KID --compromised/g)
  const order = [...commands].map(([, state]) => state)
  t.same(order, ['SPARE', 'ACTIVE'])
  for (const state of order) {
    const key = stolen.find(key => key.state === state?.toLowerCase())
    await after.keyAdministration.retire(String(key?.kid), true, {})
  }
  const inUse = (await after.keyAdministration.list()).filter(({ state }) => state !== 'compromised')
  t.same(inUse.filter(({ kid }) => stolen.some(key => key.kid === kid)), [], 'no key of the attacker is in use')
  t.same(await refusals(after, pair), { access: 'invalid_token', refresh: undefined })
  await t.rejects(build(t, env), { name: 'StartupError' }, 'the leaked secret opens nothing in the database now')
})
