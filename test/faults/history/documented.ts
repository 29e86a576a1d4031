import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { packageRoot } from '../../../src/package-root.ts'
import { answerOf, type Operation } from './operations.ts'

interface Document {
  paths: Record<string, Record<string, { responses: Record<string, { description: string }> }>>
}

const { paths } = JSON.parse(readFileSync(join(packageRoot, 'openapi.json'), 'utf8')) as Document

/**
 * Returns true if openapi.json documents an answer of a route, by its status and its error code. A 500 is a defect even
 * if it is documented.
 */
export function isDocumented (operation: Operation): boolean {
  const { route, status, error } = operation
  const [method = '', path = ''] = route.split(' ')
  const responses = paths[path]?.[method.toLowerCase()]?.responses
  if (responses === undefined) throw new Error(`openapi.json has no ${route}.`)
  const response = responses[String(status)]
  if (response === undefined || status === 500) return false
  // Only the stand-in of a replica that cannot start answers so, and none has to be started here.
  if (route === 'GET /token' && error === 'service_unavailable') return false
  return status !== undefined && status < 400 ? error === undefined : response.description.includes(`\`${error}\``)
}

/** Returns what is wrong with an answer that is not documented. */
export function describeUndocumented (operation: Operation): string {
  return `${operation.route} is not documented to answer ${answerOf(operation)}`
}
