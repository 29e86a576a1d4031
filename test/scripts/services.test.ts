import { existsSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { scratchPostgres } from '../../scripts/services/postgres.ts'
import { isRunning } from '../../scripts/services/programs.ts'
import { until } from '../support/wait.ts'

t.test('the data of a killed Postgres is removed, although its pid file is left behind', async t => {
  const { dataDir, stop } = await scratchPostgres()
  t.teardown(() => { rmSync(dataDir, { recursive: true, force: true }) })
  const pidFile = join(dataDir, 'postmaster.pid')
  const pid = Number(readFileSync(pidFile, 'utf8').split('\n')[0])
  process.kill(pid, 'SIGKILL')
  await until('Postgres has ended', () => !isRunning(pid))
  t.ok(existsSync(pidFile))
  t.doesNotThrow(stop)
  t.notOk(existsSync(dataDir))
})
