import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { stringify } from 'yaml'
import { metricsOf, testExpression } from './expressions.ts'
import { inOps, runPromtool, scrapeReal } from './scene.ts'

interface Target { expr: string, legendFormat: string, refId: string, datasource: { uid: string } }

interface Panel {
  id: number
  type: string
  title: string
  gridPos: { x: number, y: number, w: number, h: number }
  targets?: Target[]
}

interface Dashboard {
  uid: string
  panels: Panel[]
  templating: { list: Array<{ name: string, type: string, definition?: string }> }
}

const dashboard = JSON.parse(readFileSync(inOps('grafana', 'signout.json'), 'utf8')) as Dashboard
const targets = dashboard.panels.flatMap(({ targets = [] }) => targets)
/** Replaces the variables of Grafana by values that they may have. */
const fill = (expression: string) => expression.replaceAll('$__rate_interval', '1m').replaceAll('$instance', '.*')

t.test('each query of the dashboard names metrics, labels and values of a real scrape', async t => {
  const known = await scrapeReal(t)
  t.ok(targets.length > 30)
  for (const { expr } of targets) testExpression(t, fill(expr), known)
  for (const { definition } of dashboard.templating.list) {
    if (definition === undefined) continue
    const [, metric = '', label = ''] = /^label_values\((\w+), (\w+)\)$/.exec(definition) ?? []
    t.ok(known.has(metric) && label === 'instance', definition)
  }

  await t.test('the dashboard shows every metric of signout', async t => {
    const shown = new Set(targets.flatMap(({ expr }) => metricsOf(fill(expr))).map(familyOf))
    const own = new Set([...known.keys()].filter(name => name.startsWith('signout_')).map(familyOf))
    t.same([...own].filter(name => !shown.has(name)), [])
  })
})

t.test('each query of the dashboard is valid PromQL', async t => {
  const folder = mkdtempSync(join(tmpdir(), 'signout-dashboard-'))
  t.teardown(() => { rmSync(folder, { recursive: true }) })
  const file = join(folder, 'queries.yml')
  const rules = targets.map(({ expr }, index) => ({ record: `query:${index}`, expr: fill(expr) }))
  writeFileSync(file, stringify({ groups: [{ name: 'dashboard', rules }] }))
  const { status, output } = runPromtool('check', 'rules', file)
  t.equal(status, 0, output)
  t.match(output, `${targets.length} rules found`)
})

t.test('each query uses the variables of the dashboard, and its legend the labels that it keeps', async t => {
  t.same(dashboard.templating.list.map(({ name }) => name), ['datasource', 'instance'])
  for (const { expr, legendFormat, datasource } of targets) {
    t.equal(datasource.uid, '${datasource}', expr) // eslint-disable-line no-template-curly-in-string
    for (const name of metricsOf(fill(expr))) {
      t.match(expr, `${name}{instance=~"$instance"`, `${name} of the chosen replicas`)
    }
    t.notMatch(expr, /\[\d+[smh]\]/, 'a fixed interval hides data when the range is long')
    const kept = [...expr.matchAll(/\bby \(([^)]*)\)/g)].flatMap(([, labels = '']) => labels.split(', '))
    const legend = [...legendFormat.matchAll(/\{\{(\w+)\}\}/g)].map(([, label = '']) => label)
    t.same(legend.filter(label => !kept.includes(label)), [], expr)
  }
})

t.test('the panels of the dashboard have titles and ids of their own, and do not overlap', async t => {
  const { panels } = dashboard
  for (const key of ['id', 'title'] as const) t.equal(new Set(panels.map(panel => panel[key])).size, panels.length, key)
  for (const panel of panels) {
    const { x, y, w, h } = panel.gridPos
    t.ok(x >= 0 && x + w <= 24, panel.title)
    const over = panels.filter(({ id, gridPos: other }) =>
      id !== panel.id && x < other.x + other.w && other.x < x + w && y < other.y + other.h && other.y < y + h)
    t.same(over.map(({ title }) => title), [], panel.title)
    t.equal(panel.type === 'row', panel.targets === undefined, `${panel.title} has queries`)
  }
})

/** Returns the name of a metric, without the suffix of a sample of a histogram. */
function familyOf (name: string): string {
  return name.replace(/_(bucket|sum|count)$/, '')
}
