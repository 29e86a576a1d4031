/**
 * The script of the documentation page. It says what to do next after each step to a logout, authorizes with the token
 * of a login, and turns on the dark mode of swagger-ui. It keeps nothing.
 */
export const pageScript = `'use strict';
(() => {
  const dark = matchMedia('(prefers-color-scheme: dark)')
  const paint = () => { document.documentElement.classList.toggle('dark-mode', dark.matches) }
  paint()
  dark.addEventListener('change', paint)

  const bar = document.createElement('p')
  bar.id = 'next-step'
  bar.setAttribute('role', 'status')
  const say = (text, label, act) => {
    bar.textContent = text
    if (label === undefined) return
    const button = document.createElement('button')
    button.textContent = label
    button.addEventListener('click', act)
    bar.append(button)
  }

  let ui
  const authorize = token => {
    const schema = { type: 'http', scheme: 'bearer' }
    ui.authActions.authorize({ bearer: { name: 'bearer', schema, value: token } })
    say('This page sends the token now. Next: execute GET /me.')
  }
  const steps = {
    '/register 201': () => say('Registered. Next: execute POST /login.'),
    '/register 409': () => say('This user exists already. Next: execute POST /login.'),
    '/login 200': ({ access_token: token }) => say(
      'Signed in. Next: authorize. Press the button here, or copy access_token, press Authorize and paste it.',
      'Authorize with this token', () => authorize(token)),
    '/refresh 200': ({ access_token: token }) => say(
      'Refreshed: there is a new access token. Next: press the button here, or execute GET /me with the one before.',
      'Authorize with the new token', () => authorize(token)),
    '/refresh 401': () => say('There is no session to refresh. Next: execute POST /login.'),
    '/me 200': () => say('The token is accepted. Next: execute POST /logout.'),
    '/logout 200': () => say('Logged out. Next: execute GET /me again.'),
    '/me 401': ({ error }) => say(error === 'token_revoked'
      ? 'The token is refused, on every replica. That is a logout. To try it again, execute POST /login.'
      : 'GET /me needs a token that is valid. Next: execute POST /login, and authorize.')
  }
  const elsewhere = () => say('This page has another address than ISSUER. Open it there: cookies work only there.')
  const answered = response => {
    const path = new URL(response.url, location.href).pathname.replace(/.*(?=\\/)/, '')
    const { error } = response.body ?? {}
    const step = error === 'origin_not_allowed' ? elsewhere : steps[path + ' ' + response.status]
    if (step !== undefined) step(response.body ?? {})
    return response
  }

  const open = window.SwaggerUIBundle
  window.SwaggerUIBundle = Object.assign(config => {
    ui = open({ ...config, responseInterceptor: answered })
    say('Next: execute POST /register. Its example is filled in.')
    document.body.append(bar)
    return ui
  }, open)
})()
`
