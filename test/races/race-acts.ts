import type { FastifyInstance, LightMyRequestResponse } from 'fastify'
import { password, type Pair } from '../support/people.ts'
import { logOut, refresh, send } from '../support/requests.ts'
import { sessionIdOf } from '../support/sessions.ts'

/** A user with a session, or with two, and an administrator. */
export interface RaceScene {
  user: { id: string, username: string }
  /** The pairs of the session that the race is about, newest last. */
  it: Pair[]
  /** The pair of another session, if that is needed. */
  other: Pair[]
  admin: string
}

/** A session of a scene. `new` is one that a login or a password change opens during the race. */
export type Which = 'it' | 'other' | 'new'

/** An act in a race. */
export interface RaceAct {
  name: string
  run (scene: RaceScene, app: FastifyInstance): Promise<LightMyRequestResponse>
  /** The answers that it may get. Those in `done` say that it was done. */
  done: string[]
  refused?: string[]
  /** The sessions that have ended once it was done. */
  ends?: Which[]
  /** Set if no session may live, once it was done, whose login began before. */
  voidsLogins?: true
  /** Set if it opens a session of its own with the new password. A second change then only repeats the first. */
  changesPassword?: true
  /** The session in whose name it is done, if that must still live. */
  inNameOf?: Which
  /** Set if the scene needs its other session for it. */
  needsOther?: true
  /** The number of times that the session must have been refreshed before. */
  rotations?: number
  /** Set if the grace of the last refresh must be over. */
  isGraceOver?: true
}

export const newPassword = 'another correct horse battery staple'

export const newest = ({ it }: RaceScene) => it.at(-1) as Pair
const tokenOfOther = ({ other }: RaceScene) => (other[0] as Pair).access_token
const spent = ({ it }: RaceScene, ago: number) => (it.at(-1 - ago) as Pair).refresh_token
const all: Which[] = ['it', 'other', 'new']
const gone = ['401 token_revoked', '401 invalid_token']
const changePassword = (app: FastifyInstance, token: string) =>
  send(app, 'PUT /me/password', { token, body: { current_password: password, new_password: newPassword } })

/** The acts that must lose to an ending. */
export const contenders = {
  refresh: {
    name: 'a refresh',
    run: (scene, app) => refresh(app, newest(scene).refresh_token),
    done: ['200'],
    refused: ['401 token_revoked']
  },
  refreshInGrace: {
    name: 'a refresh in grace',
    run: (scene, app) => refresh(app, spent(scene, 1)),
    done: ['200'],
    refused: ['401 token_revoked', '401 refresh_token_reused'],
    rotations: 1
  },
  repeatedRefresh: {
    name: 'a refresh whose answer was lost',
    run: (scene, app) => refresh(app, spent(scene, 1)),
    done: ['200'],
    refused: ['401 token_revoked', '401 refresh_token_reused'],
    rotations: 1,
    isGraceOver: true
  },
  reuse: {
    name: 'a reuse',
    run: (scene, app) => refresh(app, spent(scene, 2)),
    done: ['401 refresh_token_reused', '401 token_revoked'],
    ends: ['it'],
    rotations: 2
  },
  login: {
    name: 'a login',
    run: ({ user }, app) => send(app, 'POST /login', { body: { username: user.username, password } }),
    done: ['200'],
    refused: ['401 invalid_credentials', '403 account_disabled']
  },
  passwordChange: {
    name: 'a password change',
    run: (scene, app) => changePassword(app, newest(scene).access_token),
    done: ['200'],
    refused: [...gone, '403 invalid_credentials'],
    ends: all,
    inNameOf: 'it',
    voidsLogins: true,
    changesPassword: true,
    needsOther: true
  },
  logout: {
    name: 'a logout',
    run: (scene, app) => logOut(app, newest(scene).access_token),
    done: ['200'],
    refused: gone,
    ends: ['it']
  }
} satisfies Record<string, RaceAct>

/** Every way in which the session ends. */
export const endings: RaceAct[] = [
  contenders.logout,
  {
    name: 'POST /reauthenticate',
    run: (scene, app) =>
      send(app, 'POST /reauthenticate', { token: newest(scene).access_token, body: { password } }),
    done: ['200'],
    refused: [...gone, '403 invalid_credentials'],
    ends: ['it'],
    inNameOf: 'it'
  },
  {
    name: 'logout of all',
    run: (scene, app) => send(app, 'POST /logout?scope=all', { token: tokenOfOther(scene) }),
    done: ['200'],
    refused: gone,
    ends: all,
    needsOther: true
  },
  {
    name: 'logout of the others',
    run: (scene, app) => send(app, 'POST /logout?scope=others', { token: tokenOfOther(scene) }),
    done: ['200'],
    refused: gone,
    ends: ['it', 'new'],
    inNameOf: 'other',
    needsOther: true
  },
  {
    name: 'logout with the refresh token',
    run: (scene, app) => send(app, 'POST /logout', { body: { refresh_token: newest(scene).refresh_token } }),
    done: ['200', '401 refresh_token_reused'],
    ends: ['it']
  },
  {
    name: 'DELETE /me/sessions/:id',
    run: (scene, app) => send(app, `DELETE /me/sessions/${sessionIdOf(newest(scene))}`, { token: tokenOfOther(scene) }),
    done: ['204'],
    refused: gone,
    ends: ['it'],
    inNameOf: 'other',
    needsOther: true
  },
  {
    name: 'PUT /me/password',
    run: (scene, app) => changePassword(app, tokenOfOther(scene)),
    done: ['200'],
    refused: [...gone, '403 invalid_credentials'],
    ends: all,
    inNameOf: 'other',
    voidsLogins: true,
    changesPassword: true,
    needsOther: true
  },
  {
    name: 'PUT /users/:id/status',
    run: ({ user, admin }, app) =>
      send(app, `PUT /users/${user.id}/status`, { token: admin, body: { status: 'disabled' } }),
    done: ['200'],
    ends: all,
    voidsLogins: true
  },
  {
    name: 'PUT /users/:id/role',
    run: ({ user, admin }, app) => send(app, `PUT /users/${user.id}/role`, { token: admin, body: { role: 'admin' } }),
    done: ['200'],
    ends: all
  },
  {
    name: 'DELETE /me',
    run: (scene, app) => send(app, 'DELETE /me', { token: tokenOfOther(scene), body: { password } }),
    done: ['204'],
    refused: [...gone, '403 invalid_credentials'],
    ends: all,
    inNameOf: 'other',
    voidsLogins: true,
    needsOther: true
  },
  {
    name: 'DELETE /users/:id',
    run: ({ user, admin }, app) => send(app, `DELETE /users/${user.id}`, { token: admin }),
    done: ['204'],
    ends: all,
    voidsLogins: true
  },
  {
    name: 'DELETE /users/:id/sessions',
    run: ({ user, admin }, app) => send(app, `DELETE /users/${user.id}/sessions`, { token: admin }),
    done: ['204'],
    ends: all
  },
  {
    name: 'POST /revocations of a session',
    run: (scene, app) =>
      send(app, 'POST /revocations', { token: scene.admin, body: { sid: sessionIdOf(newest(scene)) } }),
    done: ['200'],
    ends: ['it']
  },
  {
    name: 'POST /revocations of a user',
    run: ({ user, admin }, app) => send(app, 'POST /revocations', { token: admin, body: { subject: user.id } }),
    done: ['200'],
    ends: all
  },
  contenders.reuse
]
