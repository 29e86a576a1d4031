import t from 'tap'
import { createWaitingRoom, type WaitingRoom } from '../../src/limits/waiting-room.ts'
import { until } from '../support/wait.ts'

const giveUp = (busy: string) => new Error(`${busy} is busy.`)
const turn = () => new Promise(resolve => { setImmediate(resolve) })

/** A number of seats. A seat that is taken stays taken until it is freed. */
function seats (room: WaitingRoom, free: number) {
  const seated: string[] = []
  let tries = 0
  return {
    seated,
    get tries () { return tries },
    sit (who: string, place = who) {
      return room.run(['seat'], place, async () => {
        tries++
        if (free === 0) return { busy: 'seat' }
        free--
        seated.push(who)
        return { result: who }
      }, giveUp)
    },
    free (count = 1, isSaid = true) {
      free += count
      if (isSaid) room.wake('seat')
    }
  }
}

t.test('an attempt waits for a free seat, and attempts from one place get seats in their order', async t => {
  const room = createWaitingRoom()
  const { sit, free, seated } = seats(room, 1)
  t.equal(await sit('first', 'here'), 'first')
  const others = [sit('second', 'here'), sit('third', 'here'), sit('fourth', 'here')]
  await turn()
  t.equal(room.size, 3)
  free(2)
  await others[1]
  t.same(seated, ['first', 'second', 'third'])
  free()
  t.same(await Promise.all(others), ['second', 'third', 'fourth'])
  t.equal(room.size, 0)
})

t.test('places take turns, even if one of them sends many attempts', async t => {
  const { sit, free, seated } = seats(createWaitingRoom(), 0)
  const flood = Array.from({ length: 20 }, (_, index) => sit(`flood ${index}`, 'flood'))
  await turn()
  const others = ['ada', 'bob'].map(who => sit(who))
  await turn()
  free(4)
  await Promise.all(others)
  t.same(seated.slice(0, 3), ['flood 0', 'ada', 'bob'])
  free(20)
  await Promise.all(flood)
})

t.test('a new attempt of any place does not overtake an attempt that waits', async t => {
  const hall = seats(createWaitingRoom(), 0)
  const first = hall.sit('first', 'here')
  await turn()
  // The seat is free, and the room was not told: the first attempt finds it at its next try.
  hall.free(1, false)
  const others = [hall.sit('second', 'here'), hall.sit('third', 'elsewhere')]
  t.equal(hall.tries, 1, 'only the first attempt has tried')
  await first
  t.same(hall.seated, ['first'])
  hall.free(2)
  await Promise.all(others)
  t.same(hall.seated, ['first', 'third', 'second'])
})

t.test('a new attempt does not overtake an attempt that tries again', async t => {
  const room = createWaitingRoom()
  const seated: string[] = []
  let tries = 0
  let letIn = () => {}
  const first = room.run(['seat'], 'here', async () => {
    if (tries++ === 0) return { busy: 'seat' }
    await new Promise<void>(resolve => { letIn = resolve })
    seated.push('first')
    return { result: 'first' }
  }, giveUp)
  await until('it tries again', () => tries === 2)
  const second = room.run(['seat'], 'elsewhere', async () => ({ result: seated.push('second') }), giveUp)
  await turn()
  t.same(seated, [])
  letIn()
  await Promise.all([first, second])
  t.same(seated, ['first', 'second'])
})

t.test('in a full room the place with the most waiters loses its last one', async t => {
  const room = createWaitingRoom({ maxWaiting: 3 })
  const { sit, free, seated } = seats(room, 0)
  const flood = Array.from({ length: 4 }, (_, index) => sit(`flood ${index}`, 'flood'))
  const outcomes = Promise.allSettled(flood)
  await turn()
  const ada = sit('ada')
  await t.rejects(flood[3] as Promise<string>, { message: 'seat is busy.' }, 'no room')
  await t.rejects(flood[2] as Promise<string>, { message: 'seat is busy.' }, 'displaced')
  const bob = sit('bob')
  await t.rejects(flood[1] as Promise<string>, { message: 'seat is busy.' })
  await t.rejects(sit('eve'), { message: 'seat is busy.' }, 'no place has more than one')
  t.equal(room.size, 3)
  free(3)
  t.same(await Promise.all([flood[0], ada, bob]), ['flood 0', 'ada', 'bob'])
  t.equal(seated.length, 3)
  await outcomes
})

t.test('a wait ends after its maximum time, in the middle of a queue too, and takes no seat', async t => {
  const room = createWaitingRoom({ maxWaitMs: 60 })
  const { sit, free, seated } = seats(room, 0)
  const startedAt = performance.now()
  for (const outcome of await Promise.allSettled([sit('first'), sit('second'), sit('third', 'first')])) {
    t.match(outcome, { status: 'rejected', reason: { message: 'seat is busy.' } })
  }
  t.ok(performance.now() - startedAt < 5_000)
  t.equal(room.size, 0)
  free()
  t.equal(await sit('fourth'), 'fourth')
  t.same(seated, ['fourth'])
})

t.test('a seat that another replica frees is found without a wake-up, in few tries', async t => {
  const room = createWaitingRoom()
  let isFree = false
  let tries = 0
  const waiter = room.run(['seat'], 'here', async () => {
    tries++
    return isFree ? { result: 'seated' } : { busy: 'seat' }
  }, giveUp)
  await until('it has tried again', () => tries >= 3)
  isFree = true
  t.equal(await waiter, 'seated')
  t.ok(tries < 10, `${tries} tries`)
})

t.test('an attempt may wait for one seat after another, and an error of a try is thrown', async t => {
  const room = createWaitingRoom()
  const busy = new Set(['first', 'second'])
  const waiter = room.run(['first', 'second'], 'here', async () => {
    const [next] = busy
    return next === undefined ? { result: 'through' } : { busy: next }
  }, giveUp)
  await turn()
  busy.delete('first')
  room.wake('first')
  await turn()
  t.equal(room.size, 1)
  busy.delete('second')
  room.wake('second')
  t.equal(await waiter, 'through')

  let tries = 0
  const failing = room.run(['first'], 'here', async () => {
    if (tries++ > 0) throw new Error('It broke.')
    return { busy: 'first' }
  }, giveUp)
  await t.rejects(failing, { message: 'It broke.' })
  t.equal(room.size, 0)
})
