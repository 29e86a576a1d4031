import type { ViolationKind } from '../history/checker.ts'
import type { Patch } from './copy.ts'
import { schedules } from './schedules.ts'

/** A mistake that somebody could make, and what shows it. */
export interface Bug {
  title: string
  patch: Patch
  schedule: keyof typeof schedules
  finds: ViolationKind
}

export const bugs: Bug[] = [
  {
    title: 'the rebuild writes nothing and moves the marker',
    patch: { file: 'src/record/catch-up.ts', find: '&& includes(row)', replace: '&& false' },
    schedule: 'Redis forgets everything',
    finds: 'accepted after its end'
  },
  {
    title: 'a logout is answered before Redis has it',
    patch: {
      file: 'src/unit-of-work.ts',
      find: 'await revoker.revoke([...recorded, ...again])',
      replace: 'revoker.revoke([...recorded, ...again]).catch(() => {})'
    },
    schedule: 'Redis can be read and not written, and the logout is repeated',
    finds: 'accepted after its end'
  },
  {
    title: 'the marker is ignored',
    patch: {
      file: 'src/trust/marker-check.ts',
      find: 'findFlaw (look, text) {',
      replace: 'findFlaw (look, text) { return undefined'
    },
    schedule: 'Redis forgets everything while Postgres is down',
    finds: 'accepted after its end'
  },
  {
    title: 'a logout moves the marker',
    patch: {
      file: 'src/blocklist/open-in-redis.ts',
      find: 'shards.start()',
      replace: `shards.start()
  const { revoke } = shards.blocklist
  shards.blocklist.revoke = async revocations => {
    await revoke(revocations)
    const { recordId, position } = await record.readHead()
    await connections.shards[0].link.run(redis => redis.set(prefix + 'marker', 'v2:' + recordId + ':' + position))
  }`
    },
    schedule: 'Redis forgets everything, and somebody logs out before the projector comes',
    finds: 'accepted after its end'
  },
  {
    title: 'the projector does not wait for logouts that are being committed',
    patch: {
      file: 'src/record/barrier.ts',
      find: 'while (writers.length > 0)',
      replace: 'while (writers.length < 0)'
    },
    schedule: 'a commit takes long, and Redis falls back to what it was meanwhile',
    finds: 'accepted after its end'
  },
  {
    title: 'scripts of the projector do not check the marker, which is what does without a fencing token',
    patch: { file: 'src/record/scripts.ts', find: '~= ARGV[1]', replace: "== 'what is never there'" },
    schedule: 'Redis forgets everything between two steps of the projector',
    finds: 'accepted after its end'
  },
  {
    title: 'a logout that is repeated skips Redis',
    patch: { file: 'src/unit-of-work.ts', find: 'claimed.length + again.length > 0', replace: 'claimed.length > 0' },
    schedule: 'Redis can be read and not written, and the logout is repeated',
    finds: 'accepted after its end'
  },
  {
    title: 'an entry expires with its token, without the margin for clocks',
    patch: {
      file: 'src/entries/revocation.ts',
      find: 'expiresAt + entryMarginSeconds(leewaySeconds)',
      replace: 'expiresAt'
    },
    schedule: 'a token is used within the leeway after its expiry',
    finds: 'accepted after refused'
  },
  {
    title: 'the expiry of a token is fixed after the commit',
    patch: {
      file: 'src/sessions/token-pair.ts',
      find: 'accessTokens.sign(subject, validity)',
      replace: 'accessTokens.sign(subject, { ...accessTokens.plan(Infinity), id: validity.id })'
    },
    schedule: 'the commit of a refresh takes longer than a token lives',
    finds: 'accepted after its end'
  },
  {
    title: 'a look-up whose marker is behind takes what the record said before it',
    patch: { file: 'src/trust/record-question.ts', find: '    next = undefined\n', replace: '' },
    schedule: 'a replica reaches only an old primary of Redis',
    finds: 'accepted after its end'
  },
  {
    title: 'the record is asked from the last row that was seen',
    patch: {
      file: 'src/trust/record-question.ts',
      find: 'await record.readAfter(round.position, [...round.entries].map(idOf))',
      replace:
        'await record.readAfter(Math.max(round.position, record.lastSeen ?? 0), [...round.entries].map(idOf)); record.lastSeen = head.position'
    },
    schedule: 'a replica reaches only an old primary of Redis, and a commit takes long',
    finds: 'accepted after its end'
  },
  {
    title: 'what stands in the place of the marker during a rebuild counts as one',
    patch: {
      file: 'src/trust/marker-check.ts',
      find: 'const marker = parseMarker(text)',
      replace:
        "const marker = parseMarker(text) ?? (text?.startsWith('draft-') ? { recordId, position: Number(text.split(':')[1]) } : undefined)"
    },
    schedule: 'a rebuild of another record has come as far as the marker was',
    finds: 'accepted after its end'
  },
  {
    title: 'a marker that is behind is not compared with what was marked',
    patch: {
      file: 'src/trust/standing.ts', find: 'if (position > marked) return', replace: 'if (position < 0) return'
    },
    schedule: 'a replica reaches only an old primary of Redis, and Postgres is restored from a backup',
    finds: 'accepted after its end'
  }
]
