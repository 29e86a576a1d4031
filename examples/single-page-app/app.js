import { createClient, hasCode, isSignoutError, webStorage } from './signout-client.js'

const { service, credentials } = await (await fetch('settings.json')).json()
const client = createClient({ baseUrl: service, credentials, storage: webStorage(() => localStorage) })
const find = id => document.getElementById(id)

/** Shows the sessions or the form, whichever belongs to the state of the client. */
async function show () {
  try {
    const isSignedIn = await client.isSignedIn()
    if (isSignedIn) await showSessions()
    find('login').hidden = isSignedIn
    find('account').hidden = !isSignedIn
  } catch (error) {
    // A sign-out in between has its own event.
    if (!hasCode(error, 'signed_out')) say(describe(error), true)
  }
}

async function showSessions () {
  const [{ username }, { sessions }] = await Promise.all([
    client.request('GET /me'), client.request('GET /me/sessions')
  ])
  find('username').textContent = username
  find('sessions').replaceChildren(...sessions.map(toItem))
}

function toItem ({ id, user_agent: agent, ip, last_used_at: lastUsedAt, current }) {
  const item = document.createElement('li')
  const text = document.createElement('div')
  text.textContent = nameOf(agent)
  text.title = agent ?? ''
  const small = document.createElement('small')
  small.textContent = `${ip ?? 'Unknown address'}, ${new Date(lastUsedAt).toLocaleString()}`
  text.append(small)
  if (current) {
    const mark = document.createElement('em')
    mark.textContent = 'This device'
    item.append(text, mark)
  } else {
    const button = document.createElement('button')
    button.textContent = 'Log out'
    button.className = 'quiet'
    button.onclick = () => act(button, async () => {
      await withPassword(
        () => client.request('DELETE /me/sessions/{id}', { path: { id } }),
        async password => {
          await client.reauthenticate(password)
          await client.request('DELETE /me/sessions/{id}', { path: { id } })
        }
      )
      await show()
    })
    item.append(text, button)
  }
  return item
}

/** Returns a short name for a device: `Chrome on Linux`. */
function nameOf (agent) {
  const [browser] = /Edg|Firefox|Chrome|Safari/.exec(agent) ?? ['A program']
  const [system] = /Windows|Android|iPhone|Mac|Linux/.exec(agent) ?? ['an unknown device']
  return `${browser.replace('Edg', 'Edge')} on ${system}`
}

/** Some acts need a recent sign-in. The service says so, and then the user is asked for the password. */
async function withPassword (attempt, retry) {
  try {
    await attempt()
  } catch (error) {
    if (!hasCode(error, 'insufficient_user_authentication')) throw error
    const password = await askPassword()
    if (password !== undefined) await retry(password)
  }
}

function askPassword () {
  const dialog = find('proof')
  dialog.returnValue = 'cancel'
  dialog.querySelector('form').reset()
  dialog.showModal()
  return new Promise(resolve => {
    dialog.onclose = () => {
      resolve(dialog.returnValue === 'confirm' ? dialog.querySelector('input').value : undefined)
    }
  })
}

/** Runs an act of the user. Its button rests meanwhile, and an error is shown. */
async function act (button, work) {
  button.disabled = true
  say('')
  try {
    await work()
  } catch (error) {
    say(describe(error), true)
  } finally {
    button.disabled = false
  }
}

function say (text, isError = false) {
  find('message').textContent = text
  find('message').className = isError ? 'error' : ''
}

function describe (error) {
  if (hasCode(error, 'network_error', 'timeout')) return 'There is no connection to the server.'
  if (hasCode(error, 'invalid_credentials')) return 'The username or the password is wrong.'
  if (hasCode(error, 'invalid_request') && error.details) {
    return error.details.map(({ path, message }) => `${path.slice(1)} ${message}`).join(', ')
  }
  if (isSignoutError(error)) return error.message
  throw error
}

find('login').onsubmit = event => {
  event.preventDefault()
  const body = Object.fromEntries(new FormData(event.target))
  act(event.submitter, async () => {
    if (event.submitter.value === 'register') await client.request('POST /register', { body })
    await client.signIn(body)
    event.target.reset()
  })
}

find('sign-out').onclick = ({ target }) => act(target, async () => {
  const { server } = await client.signOut()
  if (server === 'pending') say('You are signed out here. The server follows as soon as there is a connection.')
})

find('everywhere').onclick = ({ target }) => act(target, () => withPassword(
  () => client.signOutEverywhere(),
  password => client.signOutEverywhere({ password })
))

// These events come for what happens here, in another tab, and at the server.
client.subscribe(event => {
  if (event.type === 'signed_out') {
    say(event.reason === 'signed_out' ? 'You are signed out.' : 'Your session was ended on another device.')
  }
  if (event.type === 'ended_at_server' && find('account').hidden) say('You are signed out, here and at the server.')
  if (event.type === 'signed_in') say('')
  show()
})

// The server does not call its clients. A look at the list tells whether the session still lives.
document.addEventListener('visibilitychange', () => { if (!document.hidden) show() })
show()
