import { join } from 'node:path'
import t from 'tap'
import { packPlugin } from '../../scripts/packages/pack.ts'
import { packageRoot } from '../../src/package-root.ts'
import { blocks, runSteps, stepsOf } from '../docs/markdown.ts'
import { scratchFolder } from '../support/app.ts'
import { ownRedis } from '../support/redis-server.ts'
import {
  emptyApp, install, measure, newestPeers, ownDecorators, readme, requireIt, typeErrors, writeSources
} from './app.ts'
import { expectedAnswers, startExample, useExample } from './example.ts'

// A short form of `npm run check:packages`: one app, with the newest versions.
const app = emptyApp(t)
const { file } = packPlugin(scratchFolder(t))
install(app, newestPeers)
const before = measure(app)
install(app, { 'fastify-signout': `file:${file}` })
const after = measure(app)
writeSources(app)

t.test('the plugin adds under 3 MB and five packages to an app with its peers', async t => {
  const added = { packages: after.packages - before.packages, megabytes: after.megabytes - before.megabytes }
  t.comment(`${before.packages} packages and ${before.megabytes.toFixed(1)} MB, and with the plugin ` +
    `${added.packages} and ${added.megabytes.toFixed(2)} MB more`)
  t.ok(added.packages >= 1 && added.packages <= 6, `${added.packages} packages with the plugin itself`)
  t.ok(added.megabytes > 0 && added.megabytes < 3, `${added.megabytes} MB`)
})

/** Makes the shell send a request again while it gets 503, as it may on a busy machine. */
const patientCurl = `curl () {
  local answer
  for try in {1..40}; do
    answer=$(command curl "$@"; echo .)
    [[ $answer == *revocation_unavailable* ]] || break
    sleep 0.1
  done
  printf %s "\${answer%.}"
}
`

t.test('the app of the README gets a logout from ten added lines, and answers as the README shows', async t => {
  const [example = ''] = blocks(readme, 'js')
  t.equal(example.split('\n').filter(line => line.endsWith('// +')).length, 10)
  const [command = ''] = blocks(readme, 'sh')
  t.same(command.trim().split(' ').slice(2).sort(), ['fastify-signout', ...Object.keys(newestPeers)].sort())
  const redis = await ownRedis(t)
  const { address } = await startExample(t, app, redis.url)
  const steps = stepsOf(readme)
  t.equal(steps.length, 4)
  runSteps(t, steps, text => patientCurl + text.replaceAll('http://127.0.0.1:3000', address), scratchFolder(t))
  t.same(await useExample({ address }, redis), expectedAnswers, 'also while Redis stalls, and afterwards')
})

t.test('the types of the plugin have no error in an app that checks all types, and refuse what is wrong', async t => {
  const compiler = join(packageRoot, 'node_modules', 'typescript', 'bin', 'tsc')
  install(app, { '@types/node': '20' })
  t.equal(typeErrors(app, compiler, 'nodenext'), '')
  t.equal(typeErrors(app, compiler, 'nodenext', ownDecorators), '', 'an app that declares app.authenticate itself')
})

t.test('require() returns the plugin and the functions', async t => {
  t.match(requireIt(app), { default: 'function', createRedisBlocklist: 'function', SignoutError: 'function' })
})
