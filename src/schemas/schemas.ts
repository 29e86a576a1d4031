import * as accounts from './accounts.ts'
import * as administration from './administration.ts'
import type { Component } from './component.ts'
import { errorBodies } from './errors.ts'
import * as keys from './keys.ts'
import * as oauth from './oauth.ts'
import { oauthErrorBodies } from './oauth-errors.ts'
import * as operations from './operations.ts'
import * as sessions from './sessions.ts'
import * as startPage from './start-page.ts'

/** All shapes of the API, each declared once. */
export * from './accounts.ts'
export * from './administration.ts'
export * from './clients.ts'
export * from './component.ts'
export * from './errors.ts'
export * from './keys.ts'
export * from './oauth.ts'
export * from './oauth-errors.ts'
export * from './operations.ts'
export * from './sessions.ts'
export * from './start-page.ts'

/** All named components. */
export const components: Component[] = [
  ...[accounts, administration, keys, sessions, oauth, operations, startPage].flatMap(shapes =>
    (Object.values(shapes) as unknown[]).filter(isComponent)
  ),
  ...errorBodies,
  ...oauthErrorBodies
]

function isComponent (shape: unknown): shape is Component {
  return typeof shape === 'object' && shape !== null && '$id' in shape
}
