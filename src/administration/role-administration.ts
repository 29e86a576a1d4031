import { lte } from 'drizzle-orm'
import type { Database } from '../db/database.ts'
import { sessions } from '../db/tables.ts'
import { SignoutError } from '../errors.ts'
import { builtInRoles, isRoleName, roleNamePattern } from '../roles/role-names.ts'
import { deleteRole, findRole, listRoles, lockRoles, maxRoles, saveRole, type Role } from '../roles/role-repository.ts'
import { toScope } from '../roles/scopes.ts'
import { countEndable } from '../sessions/session-repository.ts'
import type { Perform, Unit } from '../unit-of-work.ts'
import { countUsersByRole, lockUsersWithRole } from '../users/user-repository.ts'
import { recordAct } from './administrator.ts'
import { refuse } from './refusal.ts'
import {
  endBatches, inBatches, moveBatches, revokeAgainBatches, type BatchOptions, type Ended
} from './role-batches.ts'

export interface RoleAdministrationOptions extends BatchOptions {
  database: Database
  perform: Perform
}

/** A role, its scopes with a space between two, and the number of its users. */
export type RoleSummary = Pick<Role, 'name' | 'scope'> & { users: number }

/** The effect of a change of a role: whether it changed anything, and how much ended. */
export type RoleOutcome = Pick<Role, 'name' | 'scope'> & { isChanged: boolean } & Ended

/**
 * The operations of the operator on roles. A change of what a role means ends the sessions of its users, because their
 * tokens say otherwise. An act resolves once every replica refuses those tokens.
 *
 * Sessions end in batches. The first batch is one transaction with the change. If the blocklist does not confirm a
 * batch, the others are recorded all the same, and the act rejects with `revocation_unavailable` at the end. Repeating
 * an act is safe: it ends what is left, and revokes again what has ended.
 */
export interface RoleAdministration {
  list (): Promise<RoleSummary[]>
  /**
   * Adds a role, or gives a role other scopes. Rejects with `invalid_request` for a malformed name, and for scopes that
   * the role cannot have.
   */
  set (name: string, scopes: readonly string[]): Promise<RoleOutcome>
  /**
   * Gives the users of a role the role `user`, and deletes the role. Rejects with `not_found` if there is no such role,
   * and with `invalid_request` for a role that is built in.
   */
  delete (name: string): Promise<RoleOutcome>
  /** Returns what `set` would do, and does nothing. Rejects as `set` does. */
  previewSet (name: string, scopes: readonly string[]): Promise<RoleOutcome>
  /** Returns what `delete` would do, and does nothing. Rejects as `delete` does. */
  previewDelete (name: string): Promise<RoleOutcome>
}

export function createRoleAdministration (options: RoleAdministrationOptions): RoleAdministration {
  const { database, perform, leewaySeconds } = options

  async function requireDeletable (name: string): Promise<Role> {
    if (builtInRoles.includes(name)) throw refuse(`The role ${name} is built in. It can have other scopes.`)
    const found = await database.run(db => findRole(db, name))
    if (found === undefined) throw new SignoutError('not_found')
    return found
  }

  return {
    async list () {
      const [found, counts] = await Promise.all([database.run(listRoles), database.run(countUsersByRole)])
      return found.map(({ name, scope }) => ({ name, scope, users: counts.get(name) ?? 0 }))
    },
    async set (name, scopes) {
      const scope = toScope(requireName(name), scopes)
      let change: Change | undefined
      const ended = await inBatches(perform, [endBatches(options, name, async unit => {
        change ??= await save(unit, name, scope)
        return change.changedAt
      })])
      return { name, scope, isChanged: change?.isChanged === true, ...ended }
    },
    async previewSet (name, scopes) {
      const scope = toScope(requireName(name), scopes)
      return await database.run(async db => {
        const before = await findRole(db, name)
        const isChanged = before?.scope !== scope
        const which = isChanged ? undefined : lte(sessions.createdAt, before.changedAt)
        return { name, scope, isChanged, ...await countEndable(db, name, which, leewaySeconds) }
      })
    },
    async delete (name) {
      const { scope } = await requireDeletable(name)
      // The blocklist may not have confirmed an earlier attempt, which has moved users already.
      const ended = await inBatches(perform, [revokeAgainBatches(options), moveBatches(options, name)])
      await perform(unit => remove(unit, name))
      return { name, scope, isChanged: true, ...ended }
    },
    async previewDelete (name) {
      const { scope } = await requireDeletable(name)
      const ended = await database.run(db => countEndable(db, name, undefined, leewaySeconds))
      return { name, scope, isChanged: true, ...ended }
    }
  }
}

function requireName (name: string): string {
  if (isRoleName(name)) return name
  throw refuse(`The name of a role must match ${roleNamePattern}.`)
}

interface Change { isChanged: boolean, changedAt: Date }

/** Saves the scopes of a role, unless it has them. Returns when they were changed last. Waits for logins under way. */
async function save (unit: Unit, name: string, scope: string): Promise<Change> {
  await lockRoles(unit.db, 'exclusive')
  const before = await findRole(unit.db, name)
  if (before?.scope === scope) return { isChanged: false, changedAt: before.changedAt }
  if (before === undefined && (await listRoles(unit.db)).length >= maxRoles) {
    throw refuse(`There are ${maxRoles} roles already.`)
  }
  const changedAt = await saveRole(unit.db, name, scope)
  recordAct(unit, { type: 'role_set', details: { role: name, rights: scope } }, {})
  return { isChanged: true, changedAt }
}

/** Deletes a role that no user has. If a user has got it since the last batch, the act has to be repeated. */
async function remove (unit: Unit, name: string): Promise<void> {
  await lockRoles(unit.db, 'exclusive')
  if ((await lockUsersWithRole(unit.db, name, 1)).length > 0) {
    throw new SignoutError('service_unavailable', { cause: new Error(`A user has got the role ${name} meanwhile.`) })
  }
  await deleteRole(unit.db, name)
  recordAct(unit, { type: 'role_deleted', details: { role: name } }, {})
}
