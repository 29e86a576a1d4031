import { randomUUID } from 'node:crypto'
import { mock } from 'node:test'
import t from 'tap'
import { newDraft } from '../../src/record/marker.ts'
import type { Progress, Projection } from '../../src/record/projection.ts'
import { catchUp } from '../../src/record/catch-up.ts'
import type { RecordRow, RevocationRecord } from '../../src/record/record.ts'

t.test('the remaining time of a rebuild depends on its write speed, and not on the time before its start', async t => {
  let nowMs = 0
  mock.method(performance, 'now', () => nowMs)
  t.teardown(() => { mock.restoreAll() })
  const recordId = randomUUID()
  const expiresAt = Math.floor(Date.now() / 1000) + 600
  const toRow = (index: number): RecordRow => ({ position: index + 1, scope: 'token', id: String(index), expiresAt })
  const rows = Array.from({ length: 10_000 }, (_, index) => toRow(index))
  const record: Pick<RevocationRecord, 'readLive' | 'countRows'> = {
    async countRows () { nowMs += 1_000; return rows.length },
    async readLive ({ after, upTo }, limit) {
      const page = rows.filter(({ position }) => position > after && position <= upTo).slice(0, limit)
      return { rows: page, next: page.length === limit ? page.at(-1)?.position : undefined }
    }
  }
  const told: Progress[] = []
  const projection = {
    async advance (...[, , , progress]: Parameters<Projection['advance']>) {
      if (progress !== undefined) told.push(progress)
      nowMs += 10
      return true
    }
  } as Projection
  const lag = { shard: { projection, includes: () => true }, found: newDraft(recordId), from: undefined }
  await catchUp({ record, onPage: async () => {}, stopping: new AbortController().signal }, [lag], {
    recordId,
    position: rows.length
  })
  t.same(
    told.map(({ done, total }) => [done, total]),
    Array.from({ length: 10 }, (_, step) => [1_000 * (step + 1), 10_000])
  )
  // The first page is estimated by a guess of 15 µs for each row. The second page is estimated by the first, which took
  // 10 µs for each row. With the second before the start it would be 210 µs.
  for (const [step, { done, remainingSeconds }] of told.entries()) {
    const expected = (10_000 - done) * (step < 5 ? 15 : 10) / 1_000_000
    t.ok(Math.abs(remainingSeconds - expected) < 1e-9, `${remainingSeconds} s for ${10_000 - done} rows`)
  }
})
