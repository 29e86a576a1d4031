import * as accounts from './schemas/accounts.ts'
import * as administration from './schemas/administration.ts'
import type { Component } from './schemas/component.ts'
import { ErrorBody } from './schemas/errors.ts'
import * as operations from './schemas/operations.ts'
import * as sessions from './schemas/sessions.ts'

/** What travels over the wire, each shape declared once. */
export * from './schemas/accounts.ts'
export * from './schemas/administration.ts'
export * from './schemas/component.ts'
export * from './schemas/errors.ts'
export * from './schemas/operations.ts'
export * from './schemas/sessions.ts'

/** All named components. */
export const components: Component[] = [
  ...[accounts, administration, sessions, operations].flatMap(shapes => (Object.values(shapes) as unknown[]).filter(isComponent)),
  ErrorBody
]

function isComponent (shape: unknown): shape is Component {
  return typeof shape === 'object' && shape !== null && '$id' in shape
}
