import { readFileSync } from 'node:fs'
import t from 'tap'
import { parse } from 'yaml'
import { read } from '../docs/markdown.ts'
import { metricsOf, testExpression } from './expressions.ts'
import { inOps, runPromtool, scrapeReal } from './scene.ts'

interface Rule {
  alert: string
  expr: string
  for?: string
  labels: Record<string, string>
  annotations: Record<string, string>
}

interface AlertTest {
  name: string
  input_series: Array<{ series: string }>
  alert_rule_test: Array<{ alertname: string, exp_alerts: unknown[] }>
}

const load = (name: string) => parse(readFileSync(inOps('prometheus', name), 'utf8')) as unknown
const rules = (load('alerts.yml') as { groups: Array<{ rules: Rule[] }> }).groups.flatMap(({ rules }) => rules)
const { tests } = load('alerts.test.yml') as { tests: AlertTest[] }

t.test('promtool accepts the alert rules, their tests and the example configuration', async t => {
  for (const args of [
    ['check', 'rules', '--lint-fatal', inOps('prometheus', 'alerts.yml')],
    ['test', 'rules', inOps('prometheus', 'alerts.test.yml')],
    ['check', 'config', inOps('prometheus', 'prometheus.yml')]
  ]) {
    const { status, output } = runPromtool(...args)
    t.equal(status, 0, `promtool ${args.join(' ')}: ${output.slice(0, 3_000)}`)
    t.match(output, 'SUCCESS')
  }
})

t.test('each alert has a test in which it fires and one in which it is silent', async t => {
  t.ok(rules.length >= 15)
  for (const { alert } of rules) {
    const own = tests.filter(({ name }) => name.startsWith(`${alert} `)).flatMap(test => test.alert_rule_test)
    t.ok(own.every(({ alertname }) => alertname === alert), alert)
    t.ok(own.some(test => test.exp_alerts.length > 0), `${alert} fires`)
    t.ok(own.some(test => test.exp_alerts.length === 0), `${alert} is silent`)
  }
  t.equal(tests.length, 2 * rules.length, 'there is no test of another alert')
})

t.test('each alert has a severity, a summary, a description and a section in the runbook', async t => {
  const { homepage } = JSON.parse(read('package.json')) as { homepage: string }
  const page = `${homepage.replace('#readme', '')}/blob/main/docs/runbook.md`
  for (const { alert, labels, annotations } of rules) {
    t.match(alert, /^Signout[A-Z]\w+$/)
    t.match(labels, { severity: /^(critical|warning)$/ }, alert)
    t.match(annotations, { summary: /^[A-Z].{10,80}[^.]$/, description: /^.{20,200}\.$/ }, alert)
    t.equal(annotations['runbook_url'], `${page}#${alert.toLowerCase()}`)
  }
  const sections = read('docs/runbook.md').split(/^## /m).slice(1)
  t.same(sections.map(section => section.split('\n')[0]), rules.map(({ alert }) => alert), 'in the order of the rules')
  for (const section of sections) {
    t.match(section, /\n\*\*Meaning\.\*\* [^]+\n\*\*Users see\*\* [^]+\n\*\*Do\.\*\* /, section.split('\n')[0] ?? '')
  }
})

t.test('each metric, label and value that an alert or its test names is in a real scrape', async t => {
  const known = await scrapeReal(t)
  for (const { expr } of rules) testExpression(t, expr, known)
  const series = tests.flatMap(test => test.input_series.map(({ series }) => series))
  t.ok(series.length > rules.length)
  for (const name of new Set(series.flatMap(metricsOf))) t.ok(known.has(name), `the tests: ${name}`)
})
