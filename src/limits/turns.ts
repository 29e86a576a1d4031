/** Items that wait in line. Those of one place come one after another, and the places take turns. */
export interface Turns<T extends { readonly place: string }> {
  /** Puts an item behind the others of its place. */
  append (item: T): void
  /** Puts an item back, with the next turn. */
  putBack (item: T): void
  /** Takes the first item of the place whose turn it is, and moves that place to the end. */
  takeNext (): T | undefined
  /** Returns the last item of a place. */
  lastOf (place: string): T | undefined
  /** Removes an item. Returns false if it is not in the line. */
  remove (item: T): boolean
  /** Returns the number of items of each place. */
  countByPlace (): Map<string, number>
}

export function createTurns<T extends { readonly place: string }> (): Turns<T> {
  let places = new Map<string, T[]>()
  return {
    append (item) { places.set(item.place, [...places.get(item.place) ?? [], item]) },
    putBack (item) {
      const mine = places.get(item.place) ?? []
      const others = [...places].filter(([place]) => place !== item.place)
      places = new Map([[item.place, [item, ...mine]], ...others])
    },
    takeNext () {
      const [first] = places
      if (first === undefined) return undefined
      const [place, [next, ...rest]] = first
      places.delete(place)
      if (rest.length > 0) places.set(place, rest)
      return next
    },
    lastOf: place => places.get(place)?.at(-1),
    remove (item) {
      const items = places.get(item.place)
      if (!items?.includes(item)) return false
      if (items.length === 1) places.delete(item.place)
      else places.set(item.place, items.filter(other => other !== item))
      return true
    },
    countByPlace: () => new Map([...places].map(([place, { length }]) => [place, length]))
  }
}

/**
 * Returns the place that has to give up its last item, because there is no room for another one: the place with most
 * items. Returns undefined if `place`, from which the other one comes, would then have most.
 */
export function findLargest (counts: ReadonlyMap<string, number>, place: string): string | undefined {
  const [largest] = [...counts].sort(([, a], [, b]) => b - a)
  return largest !== undefined && largest[1] > (counts.get(place) ?? 0) + 1 ? largest[0] : undefined
}
