import { spawnSync } from 'node:child_process'
import t from 'tap'
import { packageRoot } from '../../src/package-root.ts'
import { embeddedEnv, scratchFolder, serversEnv } from '../support/app.ts'
import { ownRedis } from '../support/redis-server.ts'
import { messagesIn, startServer } from '../support/server-process.ts'
import { expectLogout, plugin } from './app-of-page.ts'
import { blocks, read, runSteps, stepsOf } from './markdown.ts'

t.test('the commands of the README get the answers that it shows', async t => {
  const { address } = await startServer(t, await embeddedEnv(t))
  const steps = stepsOf(read('README.md')).filter(({ command }) => !command.includes('npm start'))
  t.ok(steps.length >= 6)
  runSteps(t, steps, command => command.replaceAll('http://127.0.0.1:3000', address), scratchFolder(t))
})

t.test('the commands of the tutorial get the answers that it shows, Redis killed and started again', async t => {
  const redis = await ownRedis(t)
  const env = { ...await serversEnv(t), REDIS_URL: redis.url }
  const [one, two] = await Promise.all([startServer(t, env), startServer(t, env)])
  const adapt = (command: string) => command
    .replace('http://127.0.0.1:3001', one.address)
    .replace('http://127.0.0.1:3002', two.address)
    .replace('-p 6380', `-p ${redis.port}`)
  const [before = '', after = ''] = read('docs/get-started.md').split('## 6. ')
  const folder = scratchFolder(t)
  t.ok(stepsOf(before).length >= 10)
  runSteps(t, stepsOf(before), adapt, folder)
  await redis.kill()
  await redis.start()
  t.ok(stepsOf(after).length >= 2)
  runSteps(t, stepsOf(after), adapt, folder)
})

t.test('a wrong setting is answered with the line in the README', async t => {
  const [step] = stepsOf(read('README.md')).filter(({ command }) => command.includes('npm start'))
  const { command = '', answer = '' } = step ?? {}
  const { stderr, status } = spawnSync('bash', ['-c', command], { cwd: packageRoot, encoding: 'utf8', timeout: 60_000 })
  // Not on a terminal, where the README shows the line, it is a line of the log.
  t.equal(messagesIn(stderr).at(-1), answer.trim())
  t.equal(status, 1)
})

for (const document of ['README.md', 'docs/protect-an-api.md', 'docs/plugin.md']) {
  t.test(`the app in ${document} accepts a token until its logout`, async t => {
    const [code = ''] = blocks(read(document), 'ts')
    expectLogout(t, code
      .replace("'fastify-signout'", plugin)
      .replace("'fastify'", JSON.stringify(import.meta.resolve('fastify'))))
  })
}
