import { randomUUID } from 'node:crypto'
import type { Test } from 'tap'
import { createEmbeddedBlocklist } from '../../src/blocklist/embedded.ts'
import type { Projection } from '../../src/record/projection.ts'
import type { Head, RecordRow, RevocationRecord } from '../../src/record/record.ts'
import { createBlocklistEvents, type CatchUp } from '../../src/events/blocklist-events.ts'
import { createProjector, type Projector } from '../../src/record/projector.ts'
import { nowSeconds } from '../support/tokens.ts'
import { endingAt } from '../support/record.ts'

export const expiresAt = nowSeconds() + 60

export interface ProjectorScene {
  projector: Projector
  rows: RecordRow[]
  head: Head
  /** The lease of the projector. While `isFree` is false, another replica holds it. */
  lease: { isFree: boolean, holders: string[], released: number }
  catchUps: CatchUp[]
  failures: unknown[]
  renamed: number
  /** Called before the operations of these names. A hook may throw, and `advance` may skip its step. */
  meddle: {
    advance?: ((from: string, to: string, next: Projection['advance']) => Promise<boolean>) | undefined
    settle?: (() => void) | undefined
    count?: () => void
  }
  /** Returns true if the blocklist refuses the token that the row at that position revokes. */
  isRevoked (position: number): boolean | Promise<boolean>
  projection: Projection
  append (count: number): void
  calls: string[]
}

/** Creates a projector over a record in an array, and a blocklist in memory. */
export function projectorScene (t: Test): ProjectorScene {
  const { blocklist, projection } = createEmbeddedBlocklist({ leewaySeconds: 5 })
  const meddle: ProjectorScene['meddle'] = {}
  const rows: RecordRow[] = []
  const head = { recordId: randomUUID(), position: 0, marked: 0 }
  const lease = { isFree: true, holders: [] as string[], released: 0 }
  const calls: string[] = []
  const inRange = ({ after, upTo }: { after: number; upTo: number }) =>
    rows.filter(({ position }) => position > after && position <= upTo)
  const record: RevocationRecord = {
    ...endingAt(async () => ({ ...head })),
    async settleHead (recordId) {
      calls.push(`settle ${head.position}`)
      meddle.settle?.()
      if (recordId !== head.recordId) return undefined
      head.marked = Math.max(head.marked, head.position)
      return { ...head }
    },
    async readLive (range, limit) {
      const page = inRange(range).slice(0, limit)
      return { rows: page, next: page.length === limit ? page.at(-1)?.position : undefined }
    },
    readClock: async () => Date.now(),
    async countRows (range) { meddle.count?.(); return inRange(range).length },
    listNames: async () => [head.recordId],
    hasToken: async () => false,
    async rename (from) {
      if (from === head.recordId) Object.assign(head, { recordId: randomUUID(), marked: 0 })
      return true
    },
    async lease (holder) { if (lease.isFree) lease.holders.push(holder); return lease.isFree },
    async release () { lease.released++ }
  }
  const scene = {
    rows,
    head,
    lease,
    meddle,
    calls,
    projection,
    catchUps: [] as CatchUp[],
    failures: [] as unknown[],
    renamed: 0
  }
  const watched: Projection = {
    ...projection,
    advance: (from, to, revocations) =>
      meddle.advance?.(from, to, () => projection.advance(from, to, revocations)) ??
      projection.advance(from, to, revocations)
  }
  const events = createBlocklistEvents()
  events.on('caughtUp', catchUp => { scene.catchUps.push(catchUp) })
  events.on('recordRenamed', () => { scene.renamed++ })
  events.on('projectorFailed', error => { scene.failures.push(error) })
  const projector = createProjector({
    record,
    shards: [{ projection: watched, includes: () => true }],
    events
  })
  t.teardown(() => projector.stop())
  return Object.assign(scene, {
    projector,
    isRevoked: (position: number) => blocklist.isRevoked({ jti: String(position) }),
    append (count: number) {
      for (let added = 0; added < count; added++) {
        rows.push({ position: ++head.position, scope: 'token', id: String(head.position), expiresAt })
      }
    }
  })
}
