import type { FastifyInstance } from 'fastify'

/** A metric in the text format of Prometheus. */
export interface ParsedMetric {
  name: string
  help: string
  type: string
  samples: Array<{ name: string, labels: Record<string, string>, value: number }>
}

const sampleForm = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (-?[\d.]+(?:e[+-]?\d+)?|[+-]Inf|Nan)$/
const labelForm = /([a-zA-Z_]\w*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)/y

/**
 * Parses the text format, version 0.0.4. Throws for text that Prometheus would refuse:
 *
 * - a line that has no valid form;
 * - a sample without a HELP and a TYPE before it, or of another metric;
 * - the same sample twice.
 */
export function parseMetrics (text: string): ParsedMetric[] {
  if (!text.endsWith('\n')) throw new Error('The last line does not end.')
  const metrics: ParsedMetric[] = []
  const seen = new Set<string>()
  for (const line of text.split('\n').filter(line => line !== '')) {
    const [, keyword, of, rest = ''] = /^# (HELP|TYPE) (\S+) (.*)$/.exec(line) ?? []
    if (keyword === 'HELP' && of !== undefined) {
      if (metrics.some(({ name }) => name === of)) throw new Error(`${of} is there twice.`)
      metrics.push({ name: of, help: rest, type: '', samples: [] })
      continue
    }
    const metric = metrics.at(-1)
    if (metric === undefined) throw new Error(`Before the first metric: ${line}`)
    if (keyword === 'TYPE') {
      if (of !== metric.name || !/^(counter|gauge|histogram|summary)$/.test(rest)) {
        throw new Error(`Not the type of ${metric.name}: ${line}`)
      }
      metric.type = rest
      continue
    }
    const [, name = '', labels = '', value = ''] = sampleForm.exec(line) ?? []
    const allowed =
      metric.type === 'histogram' ? ['_bucket', '_sum', '_count'].map(suffix => metric.name + suffix) : [metric.name]
    if (metric.type === '' || !allowed.includes(name)) throw new Error(`Not a sample of ${metric.name}: ${line}`)
    const id = line.slice(0, line.lastIndexOf(' '))
    if (seen.has(id)) throw new Error(`Twice: ${id}`)
    seen.add(id)
    metric.samples.push({ name, labels: parseLabels(labels), value: Number(value.replace('Inf', 'Infinity')) })
  }
  return metrics
}

function parseLabels (text: string): Record<string, string> {
  const labels: Record<string, string> = {}
  labelForm.lastIndex = 0
  while (labelForm.lastIndex < text.length) {
    const at = labelForm.lastIndex
    const [, name, value] = labelForm.exec(text) ?? []
    if (name === undefined || value === undefined) throw new Error(`Not labels: ${text.slice(at)}`)
    if (name in labels) throw new Error(`Twice: ${name}`)
    labels[name] = value
  }
  return labels
}

/** Returns the labels by which the samples of a metric differ, without the `le` of buckets. */
export function labelsOf ({ samples }: ParsedMetric): string[] {
  return [...new Set(samples.flatMap(({ labels }) => Object.keys(labels)))].filter(name => name !== 'le').sort()
}

/** Returns all values by their `name{label="value"}`, without those of buckets. */
export async function readMetrics (app: FastifyInstance): Promise<Map<string, number>> {
  const values = new Map<string, number>()
  for (const { samples } of parseMetrics(await app.metrics.scrape())) {
    for (const { name, labels, value } of samples.filter(({ labels }) => !('le' in labels))) {
      const inside = Object.entries(labels).map(([label, value]) => `${label}="${value}"`).join()
      values.set(inside === '' ? name : `${name}{${inside}}`, value)
    }
  }
  return values
}

/** Runs work, and returns by how much it has changed the values whose name begins with `prefix`. */
export async function readChanges (
  app: FastifyInstance, prefix: string, work: () => Promise<unknown>
): Promise<Record<string, number>> {
  const before = await readMetrics(app)
  await work()
  const after = await readMetrics(app)
  const changed = [...after].filter(([name, value]) => name.startsWith(prefix) && value !== before.get(name))
  return Object.fromEntries(changed.map(([name, value]) => [name, value - (before.get(name) ?? 0)]))
}

/** Returns the value of one sample in the text of a scrape; undefined if there is none. */
export function metricValue (text: string, name: string, labels: Record<string, string>): number | undefined {
  const samples = parseMetrics(text).flatMap(({ samples }) => samples).filter(sample => sample.name === name)
  return samples.find(sample => Object.entries(labels).every(([label, value]) => sample.labels[label] === value))?.value
}
