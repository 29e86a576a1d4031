import t from 'tap'
import { loadConfig } from '../../src/config.ts'
import { buildUnready, promptServersEnv } from '../support/app.ts'
import { asProcess } from '../support/cli.ts'
import { testFault } from '../support/fault.ts'
import { setPostgresClock } from '../support/postgres-clock.ts'
import { logOutFor, startReplicas, untilAccepted } from '../support/replicas.ts'
import { get, outcome } from '../support/requests.ts'
import { busyMs, until } from '../support/wait.ts'
import { serviceRows } from './rows/service.ts'

const { fail, succeed } = asProcess

const refusal =
  /DATABASE_URL: Postgres has a clock that differs from this machine's by [5-8]\.\d s, which is more than CLOCK_LEEWAY \(5 s\)\. Set both clocks by NTP\./

testFault(t, serviceRows.postgresClock, async t => {
  const settings = await promptServersEnv(t)
  await setPostgresClock(settings, 0)
  const { a, apps, env, log, good, leaving } = await startReplicas(t, {
    DATABASE_URL: String(settings['DATABASE_URL'])
  })
  await logOutFor(t, a, leaving)
  const timesMade = () => log.filter(line => line.includes('made again')).length
  const before = timesMade()
  await setPostgresClock(env, 8)
  for (const app of apps) {
    await until(
      'it is noticed',
      async () => outcome(await get(app, '/token', good)) === '503 revocation_unavailable',
      12_000 + busyMs
    )
  }
  t.match(log.findLast(line => line.includes('DATABASE_URL')), refusal)
  await setPostgresClock(env, 0)
  await untilAccepted(apps, good)
  for (const app of apps) t.equal(outcome(await get(app, '/token', leaving)), '401 token_revoked')
  await until('it says that the blocklist was made again', () => timesMade() > before)
  await setPostgresClock(env, -8)
  await t.rejects(
    async () => { await buildUnready(t, loadConfig(env)).ready() }, { name: 'StartupError', message: refusal }
  )
  t.match(await fail(t, 1, ['check-config'], { env }), refusal)
  await setPostgresClock(env, 4)
  t.match(await succeed(t, ['check-config'], { env }), 'Postgres at ', 'within the leeway')
})
