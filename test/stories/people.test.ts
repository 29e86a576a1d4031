import t from 'tap'
import { onEachStorage } from '../support/app.ts'
import { letTimePass } from '../support/database.ts'
import { signUp } from '../support/people.ts'
import { outcome } from '../support/requests.ts'
import { deviceWith, signInWith } from './device.ts'

t.test('users keep control of their sessions after theft, loss and leaks', t => onEachStorage(t, async (t, app) => {
  await t.test('a stolen refresh token that is used a second time signs out both thief and owner', async t => {
    const { username } = await signUp(app)
    const phone = await signInWith(app, 'phone', username)
    const thief = deviceWith(app, phone.tokens)

    t.equal(await thief.refresh(), '200', 'the thief is first')
    t.equal(await thief.open('/me'), '200')
    await letTimePass(app, 600)
    t.equal(await phone.refresh(), '401 refresh_token_reused', 'and is found out when the phone comes')
    t.equal(await thief.open('/me'), '401 token_revoked')
    t.equal(await thief.refresh(), '401 token_revoked')
    t.equal(await phone.open('/me'), '401 token_revoked')

    const again = await signInWith(app, 'phone', username)
    t.equal(await again.open('/me'), '200', 'the owner signs in again; the thief cannot')
    const { events } = (await again.send('GET /me/security-events')).json()
    t.match(events[1], { type: 'refresh_token_reused', count: 1 }, 'and reads why')
  })

  await t.test('a thief who uses a refresh token after its owner is refused, and the session ends', async t => {
    const { username } = await signUp(app)
    const phone = await signInWith(app, 'phone', username)
    const laptop = await signInWith(app, 'laptop', username)
    const thief = deviceWith(app, phone.tokens)

    await phone.refresh()
    await phone.refresh()
    t.equal(await thief.refresh(), '401 refresh_token_reused')
    t.equal(await phone.open('/me'), '401 token_revoked', 'nobody can tell which of the two is honest')
    t.equal(await laptop.open('/me'), '200', 'but the laptop has nothing to do with it')
  })

  await t.test('two tabs that refresh at once do not sign each other out', async t => {
    const { username } = await signUp(app)
    const tab = await signInWith(app, 'browser', username)
    const otherTab = deviceWith(app, tab.tokens)

    t.same(await Promise.all([tab.refresh(), otherTab.refresh()]), ['200', '200'])
    t.equal(otherTab.tokens.refresh_token, tab.tokens.refresh_token, 'both have the same')
    t.equal(otherTab.tokens.access_token, tab.tokens.access_token)
    t.equal(await tab.refresh(), '200')
    t.equal(await otherTab.refresh(), '200', 'and it goes on like that')
    t.same(await Promise.all([tab.open('/me'), otherTab.open('/me')]), ['200', '200'])
  })

  await t.test('an app that lost the answer to a refresh can refresh again', async t => {
    const { username } = await signUp(app)
    const phone = await signInWith(app, 'phone', username)
    const lost = deviceWith(app, phone.tokens)
    t.equal(await lost.refresh(), '200')
    t.equal(await phone.refresh(), '200')
    t.equal(await phone.open('/me'), '200')
    t.equal(await phone.refresh(), '200')
  })

  await t.test('the session of a lost phone can be ended from a laptop', async t => {
    const { username } = await signUp(app)
    const phone = await signInWith(app, 'My phone', username)
    const laptop = await signInWith(app, 'My laptop', username)

    const listed = (await laptop.send('GET /me/sessions')).json() as {
      sessions: Array<{ id: string, user_agent: string, current: boolean }>
    }
    const lost = listed.sessions.find(({ user_agent: userAgent }) => userAgent === 'My phone')
    t.equal(lost?.current, false)
    t.equal(outcome(await laptop.send(`DELETE /me/sessions/${lost?.id}`)), '204')

    t.equal(await phone.open('/me'), '401 token_revoked', 'whoever found it is out')
    t.equal(await phone.refresh(), '401 token_revoked')
    t.equal(outcome(await phone.send('POST /logout?scope=others')), '401 token_revoked', 'and cannot strike back')
    t.equal(await laptop.open('/me'), '200')
    t.equal(await laptop.refresh(), '200')
  })

  await t.test('a password change locks out an intruder who knows the old password', async t => {
    const { username } = await signUp(app)
    const owner = await signInWith(app, 'laptop', username)
    const tablet = await signInWith(app, 'tablet', username)
    const intruder = await signInWith(app, 'who knows', username)

    const change = { current_password: 'correct horse battery staple', new_password: 'nobody has ever seen this one' }
    const changed = await owner.send('PUT /me/password', change)
    t.equal(outcome(changed), '200')
    owner.tokens = changed.json()
    t.equal(await intruder.open('/me'), '401 token_revoked')
    t.equal(await intruder.refresh(), '401 token_revoked')
    await t.rejects(
      signInWith(app, 'who knows', username), { message: /invalid_credentials/ }, 'what leaked is worth nothing'
    )
    t.equal(
      outcome(await intruder.send('PUT /me/password', { ...change, new_password: "the intruder's own one" })),
      '403 invalid_credentials'
    )

    t.equal(await owner.open('/me'), '200', 'the owner need not sign in again here')
    t.equal(await tablet.open('/me'), '401 token_revoked', 'but does on the tablet')
    t.equal(
      await (await signInWith(app, 'tablet', username, change.new_password)).open('/me'),
      '200',
      'where it works in the same second'
    )
  })
}, { REFRESH_GRACE: '60' }))
