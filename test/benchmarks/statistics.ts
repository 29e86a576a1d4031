/** Returns the value below which that share of the sorted values lies. */
export function percentile (sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? NaN
}

/** The median, the lowest and the highest of some values. */
export interface Spread {
  median: number
  min: number
  max: number
}

/** Returns the spread of the ratios of each round. The load of the machine changes from round to round. */
export function spreadOfRatios (ours: readonly number[], theirs: readonly number[]): Spread {
  return spreadOf(ours.map((each, round) => each / (theirs[round] ?? NaN)))
}

export function spreadOf (values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  const median = sorted.length % 2 === 1 ? sorted[middle] : ((sorted[middle - 1] ?? NaN) + (sorted[middle] ?? NaN)) / 2
  return { median: median ?? NaN, min: sorted[0] ?? NaN, max: sorted.at(-1) ?? NaN }
}
