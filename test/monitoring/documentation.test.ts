import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { packageRoot } from '../../src/package-root.ts'
import { build, serversEnv } from '../support/app.ts'
import { labelsOf, parseMetrics, type ParsedMetric } from '../support/metrics.ts'
import { signUp } from '../support/people.ts'
import { get } from '../support/requests.ts'

const page = readFileSync(join(packageRoot, 'docs', 'metrics.md'), 'utf8')
const openapi = JSON.parse(readFileSync(join(packageRoot, 'openapi.json'), 'utf8')) as { paths: object }
const code = (names: string[]) => names.map(name => `\`${name}\``).join(', ')

/** Returns true for a bound of a bucket, a version, a status, or a route of the API, which is in openapi.json. */
const isNotListed = (label: string, value: string) =>
  ['le', 'version', 'node', 'status'].includes(label) || (label === 'route' && value in openapi.paths)

/** A line of the table, as it must be. */
const row = (metric: ParsedMetric) =>
  `| \`${metric.name}\` | ${metric.type} | ${code(labelsOf(metric))} | ${metric.help} |`.replace('|  |', '| |')

t.test('docs/metrics.md lists every metric with its type, labels and help', async t => {
  const app = await build(t, { ...await serversEnv(t), METRICS_TOKEN: 'a-token-for-those-who-scrape' })
  const { pair } = await signUp(app)
  await get(app, '/token', pair.access_token)
  const metrics = parseMetrics(await app.metrics.scrape())
  const listed = page
    .split('\n')
    .filter(line => /^\| `(signout|nodejs|process)_\w+` \| (counter|gauge|histogram) \|/.test(line))
  // Without /proc, some of the process metrics are missing.
  const actual = metrics.filter(({ name }) => !/^process_/.test(name) && !/^nodejs_(active|gc)/.test(name)).map(row)
  t.same(listed.filter(line => !/^\| `(process_|nodejs_(active|gc))/.test(line)), actual)
  if (process.platform === 'linux') {
    const names = listed.map(line => /`(\w+)`/.exec(line)?.[1])
    t.same(names, metrics.map(({ name }) => name))
  }

  await t.test('docs/metrics.md names every value of a label', async t => {
    for (const { name, samples } of metrics.filter(({ name }) => name.startsWith('signout_'))) {
      for (const { labels } of samples) {
        for (const [label, value] of Object.entries(labels)) {
          if (!isNotListed(label, value)) t.match(page, `\`${value}\``, `${name}: ${label}="${value}"`)
        }
      }
    }
  })
})
