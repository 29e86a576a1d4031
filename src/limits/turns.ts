/** Items that wait in line. Those of one network come one after another, and the networks take turns. */
export interface Turns<T extends { readonly network: string }> {
  /** Puts an item behind the others of its network. */
  append (item: T): void
  /** Puts an item back, with the next turn. */
  putBack (item: T): void
  /** Takes the first item of the network whose turn it is, and moves that network to the end. */
  takeNext (): T | undefined
  /** Returns the last item of a network. */
  lastOf (network: string): T | undefined
  /** Removes an item. Returns false if it is not in the line. */
  remove (item: T): boolean
  /** Returns the number of items of each network. */
  countByNetwork (): Map<string, number>
}

export function createTurns<T extends { readonly network: string }> (): Turns<T> {
  let networks = new Map<string, T[]>()
  return {
    append (item) { networks.set(item.network, [...networks.get(item.network) ?? [], item]) },
    putBack (item) {
      const mine = networks.get(item.network) ?? []
      const others = [...networks].filter(([network]) => network !== item.network)
      networks = new Map([[item.network, [item, ...mine]], ...others])
    },
    takeNext () {
      const [first] = networks
      if (first === undefined) return undefined
      const [network, [next, ...rest]] = first
      networks.delete(network)
      if (rest.length > 0) networks.set(network, rest)
      return next
    },
    lastOf: network => networks.get(network)?.at(-1),
    remove (item) {
      const items = networks.get(item.network)
      if (!items?.includes(item)) return false
      if (items.length === 1) networks.delete(item.network)
      else networks.set(item.network, items.filter(other => other !== item))
      return true
    },
    countByNetwork: () => new Map([...networks].map(([network, { length }]) => [network, length]))
  }
}

/**
 * Returns the network that has to give up its last item, because there is no room for another one: the one with most
 * items. Returns undefined if `network`, from which the other item comes, would then have most.
 */
export function findLargest (counts: ReadonlyMap<string, number>, network: string): string | undefined {
  const [largest] = [...counts].sort(([, a], [, b]) => b - a)
  return largest !== undefined && largest[1] > (counts.get(network) ?? 0) + 1 ? largest[0] : undefined
}
