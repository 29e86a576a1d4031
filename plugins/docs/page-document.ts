/** The parts of an OpenAPI document that the page shows in another order. */
interface Document {
  info: { description?: string }
  tags?: Array<{ name: string, description?: string }>
  paths?: Record<string, Record<string, Operation>>
  components?: { securitySchemes?: Record<string, object> }
}

interface Operation {
  tags?: string[]
  parameters?: Array<{ name: string, schema?: object }>
  security?: object[]
  requestBody?: object
}

const guideWithCookies = `

This service has \`COOKIES=on\`. With \`X-Signout-CSRF: 1\` the refresh token is in a cookie that no script can read, and never in a body.`

const guide = `

**Try a logout.** Open each request below, and press *Execute*. The examples work as they are.

1. \`POST /register\`: 201. After that you have a user.
2. \`POST /login\`: 200 with an \`access_token\`. Copy it, without the quotes.
3. Press *Authorize*, paste the token, and close the window. Or press the button at the bottom of the page.
4. \`GET /me\`: 200 with the user.
5. \`POST /logout\`: 200. Every replica refuses the token now.
6. \`GET /me\` again: 401 \`token_revoked\`.`

const tryLogout = { name: 'try', description: 'The requests of a logout, in their order.' }
const steps = [['/register', 'post'], ['/login', 'post'], ['/me', 'get'], ['/logout', 'post']] as const

/**
 * Returns the document for the page: a guide, and the requests of a logout first. The document for programs stays as it
 * is, because generated clients have names from the tags.
 *
 * @param hasCookies true if the page is a cookie client by default. Otherwise it shows no cookie mode.
 */
export function toPageDocument<D extends object> (document: D, hasCookies: boolean): D {
  const { info, tags = [], paths = {}, components = {} } = document as Document
  // A browser sends the cookie automatically, so there is nothing to fill in.
  delete components.securitySchemes?.['refresh_cookie']
  for (const operation of Object.values(paths).flatMap(methods => Object.values(methods))) {
    showClientKind(operation, hasCookies)
  }
  if (hasCookies) delete paths['/refresh']?.['post']?.requestBody
  for (const [path, method] of steps) {
    const operation = paths[path]?.[method]
    if (operation !== undefined) operation.tags = [tryLogout.name]
  }
  const first = Object.fromEntries(steps.map(([path]) => [path, paths[path]]))
  return {
    ...document,
    info: { ...info, description: `${info.description ?? ''}${guide}${hasCookies ? guideWithCookies : ''}` },
    tags: [tryLogout, ...tags],
    paths: { ...first, ...paths }
  }
}

/** Fills in the header of cookie clients, or leaves it out. */
function showClientKind (operation: Operation, hasCookies: boolean): void {
  const header = operation.parameters?.find(({ name }) => name === 'X-Signout-CSRF')
  if (header === undefined) return
  if (hasCookies) header.schema = { ...header.schema, default: '1' }
  else operation.parameters = operation.parameters?.filter(parameter => parameter !== header) ?? []
  const ways = operation.security?.filter(way => !('refresh_cookie' in way)) ?? []
  operation.security = ways.some(way => Object.keys(way).length > 0) ? ways : []
}
