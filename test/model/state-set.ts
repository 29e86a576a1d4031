/** A set of states, each with the state that it was first reached from. Its members are numbered as they were added. */
export interface StateSet {
  readonly size: number
  /** Adds the numbers of a state, unless the set has them. */
  add (numbers: readonly number[], parent: number): void
  /** Returns the place of the numbers of a state. Throws if the set does not have them. */
  find (numbers: readonly number[]): number
  /** Returns the numbers of the state at a place. They are valid until the next call. */
  read (place: number): readonly number[]
  /** Returns the place of the state that a state was first reached from; negative for the first one. */
  parentOf (place: number): number
}

const numbersInWord = 8

/**
 * Creates a set of states of that many numbers, each from 0 to 15. The set packs them into arrays of integers: a search
 * takes half the processor time that it would take with a Map of strings.
 */
export function createStateSet (length: number): StateSet {
  const wordsOfState = Math.ceil(length / numbersInWord)
  const packed = new Int32Array(wordsOfState)
  const unpacked = Array.from({ length }, () => 0)
  let capacity = 2 ** 12
  let words = new Int32Array(capacity * wordsOfState)
  let parents = new Int32Array(capacity)
  // A hash table with open addressing. Each slot has the place of a state, plus one. At most half of the slots are
  // used.
  let slots = new Int32Array(capacity * 2)
  let size = 0

  function pack (numbers: readonly number[]): void {
    let all = 0
    for (let word = 0, at = 0; word < wordsOfState; word++) {
      let bits = 0
      for (let shift = 0; shift < 32 && at < length; shift += 4) {
        const number = numbers[at++] as number
        all |= number
        bits |= number << shift
      }
      packed[word] = bits
    }
    if (numbers.length !== length || all < 0 || all > 15) {
      throw new Error(`A state must have ${length} numbers from 0 to 15, and has ${numbers.join(', ')}.`)
    }
  }

  /** Returns the slot of the packed state, or the free slot in which it belongs. */
  function slotOf (source: Int32Array, from: number): number {
    let hash = 0
    for (let word = 0; word < wordsOfState; word++) {
      hash = Math.imul(hash ^ source[from + word] as number, 0x9E3779B1)
      hash ^= hash >>> 15
    }
    const mask = slots.length - 1
    let slot = hash & mask
    while (slots[slot] !== 0 && !isSame(source, from, (slots[slot] as number) - 1)) slot = slot + 1 & mask
    return slot
  }

  function isSame (source: Int32Array, from: number, place: number): boolean {
    const start = place * wordsOfState
    for (let word = 0; word < wordsOfState; word++) if (source[from + word] !== words[start + word]) return false
    return true
  }

  function grow (): void {
    capacity *= 2
    words = resized(words, capacity * wordsOfState)
    parents = resized(parents, capacity)
    slots = new Int32Array(capacity * 2)
    for (let place = 0; place < size; place++) slots[slotOf(words, place * wordsOfState)] = place + 1
  }

  return {
    get size () { return size },
    add (numbers, parent) {
      pack(numbers)
      const slot = slotOf(packed, 0)
      if (slots[slot] !== 0) return
      words.set(packed, size * wordsOfState)
      parents[size] = parent
      slots[slot] = ++size
      if (size === capacity) grow()
    },
    find (numbers) {
      pack(numbers)
      const place = (slots[slotOf(packed, 0)] as number) - 1
      if (place < 0) throw new Error(`The set has no state of ${numbers.join(', ')}.`)
      return place
    },
    read (place) {
      for (let at = 0; at < length; at++) {
        const word = words[place * wordsOfState + (at >> 3)] as number
        unpacked[at] = word >>> 4 * (at & 7) & 15
      }
      return unpacked
    },
    parentOf: place => parents[place] as number
  }
}

function resized (array: Int32Array<ArrayBuffer>, length: number): Int32Array<ArrayBuffer> {
  const larger = new Int32Array(length)
  larger.set(array)
  return larger
}
