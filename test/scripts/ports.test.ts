import { spawnSync } from 'node:child_process'
import { existsSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { findFreePort } from '../../scripts/services/programs.ts'
import { until } from '../support/wait.ts'

const claimOf = (port: number) => join(tmpdir(), `signout-port-${port}`)

/** Lets another process claim the port that this one looks at next. Returns that port, and the one that it gets. */
async function findBeside (t: Test, owner: number): Promise<[claimed: number, found: number]> {
  const claimed = await findFreePort() + 1
  writeFileSync(claimOf(claimed), String(owner))
  t.teardown(() => { rmSync(claimOf(claimed), { force: true }) })
  return [claimed, await findFreePort()]
}

t.test('a port that a running process has claimed is not found, and one of an ended process is', async t => {
  const [running, beside] = await findBeside(t, process.ppid)
  t.ok(beside > running, `${beside} instead of ${running}`)
  const ended = spawnSync(process.execPath, ['-e', '']).pid
  // Something else may listen on the port by chance.
  await until('such a port is found', async () => {
    const [free, found] = await findBeside(t, ended)
    t.ok(existsSync(claimOf(found)), 'and is claimed')
    return found === free
  })
})
