/** The parts of an OpenAPI document that the page shows in another order. */
interface Document {
  info: { description?: string }
  tags?: Array<{ name: string, description?: string }>
  paths?: Record<string, Record<string, { tags?: string[] }>>
}

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
 */
export function toPageDocument<D extends object> (document: D): D {
  const { info, tags = [], paths = {} } = document as Document
  for (const [path, method] of steps) {
    const operation = paths[path]?.[method]
    if (operation !== undefined) operation.tags = [tryLogout.name]
  }
  const first = Object.fromEntries(steps.map(([path]) => [path, paths[path]]))
  return {
    ...document,
    info: { ...info, description: `${info.description ?? ''}${guide}` },
    tags: [tryLogout, ...tags],
    paths: { ...first, ...paths }
  }
}
