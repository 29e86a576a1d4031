import type { Test } from 'tap'
import { parseMetrics } from '../support/metrics.ts'

/** The values of each label, by the name of a sample. */
export type KnownSamples = ReadonlyMap<string, ReadonlyMap<string, ReadonlySet<string>>>

/** Labels that Prometheus adds to each sample. */
const addedLabels = ['job', 'instance']
const keywords = ['and', 'or', 'unless', 'bool', 'offset', 'inf', 'nan']
const selectorForm = /([a-zA-Z_]\w*)\{([^}]*)\}/g
const matcherForm = /^(\w+)(=~|!~|!=|=)"([^"]*)"$/

/** Returns the samples in the text of a scrape, and `up`, which Prometheus creates for each scrape. */
export function samplesOf (scrape: string): KnownSamples {
  const known = new Map<string, Map<string, Set<string>>>([['up', new Map()]])
  for (const { name, labels } of parseMetrics(scrape).flatMap(({ samples }) => samples)) {
    const values = known.get(name) ?? new Map<string, Set<string>>()
    known.set(name, values)
    for (const [label, value] of Object.entries(labels)) values.set(label, (values.get(label) ?? new Set()).add(value))
  }
  return known
}

/** Returns the names of the metrics in an expression. Functions, keywords, labels and numbers are none. */
export function metricsOf (expression: string): string[] {
  const words = expression
    .replace(/\{[^}]*\}|\[[^\]]*\]/g, ' ')
    .replace(/\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)/g, ' ')
    .matchAll(/(?<![\w.])([a-zA-Z_:]\w*)(?!\w*\s*\()/g)
  return [...words].map(([, word = '']) => word).filter(word => !keywords.includes(word))
}

/** Asserts that every metric, label and value that an expression names is in a scrape. */
export function testExpression (t: Test, expression: string, known: KnownSamples): void {
  const metrics = metricsOf(expression)
  t.ok(metrics.length > 0, `${expression} names a metric`)
  for (const name of metrics) t.ok(known.has(name), `${expression}: the metric ${name}`)
  const labelsOfAll = metrics.flatMap(name => [...known.get(name)?.keys() ?? []])
  for (const [, labels = ''] of expression.matchAll(/\b(?:by|without|on)\s*\(([^)]*)\)/g)) {
    for (const label of labels.split(',').map(label => label.trim())) {
      t.ok([...addedLabels, ...labelsOfAll].includes(label), `${expression}: the label ${label}`)
    }
  }
  for (const [, name = '', selector = ''] of expression.matchAll(selectorForm)) {
    for (const matcher of selector.split(/,(?=\w+[=!])/)) {
      testMatcher(t, `${name}{${matcher}}`, known.get(name), matcher)
    }
  }
}

/** Each alternative of a matcher must match a value, or it is a typing error. */
function testMatcher (
  t: Test, title: string, values: ReadonlyMap<string, ReadonlySet<string>> | undefined, matcher: string
): void {
  const [, label = '', operator = '', text = ''] = matcherForm.exec(matcher) ?? []
  t.ok(label, `${title} has a form that this test reads`)
  if (addedLabels.includes(label)) return
  const found = [...values?.get(label) ?? []]
  for (const alternative of operator.includes('~') ? text.split('|') : [text]) {
    const matches = (value: string) =>
      operator.includes('~') ? new RegExp(`^(?:${alternative})$`).test(value) : value === alternative
    t.ok(found.some(matches), `${title}: ${alternative} is a value`)
  }
}
