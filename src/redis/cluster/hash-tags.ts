/**
 * The hash tags of the shards in a cluster. The keys of one shard carry one tag, and therefore share a slot. There is
 * one tag for each sixteenth of the slots, from about its middle. So the shards spread over the servers of a cluster as
 * the slots do.
 *
 * Do not change the tags or {@link shardOf}: keys in Redis depend on them, and every blocklist in a cluster would be
 * lost.
 */
export const hashTags: ReadonlyArray<{ tag: string, slot: number }> = [
  { tag: 'u0', slot: 511 }, { tag: 'y8', slot: 1_434 }, { tag: 'm8', slot: 2_605 }, { tag: 'q4', slot: 3_519 },
  { tag: 'd2', slot: 4_607 }, { tag: 'y9', slot: 5_563 }, { tag: 'm9', slot: 6_668 }, { tag: 'p2', slot: 7_752 },
  { tag: 'u2', slot: 8_637 }, { tag: 'h9', slot: 9_721 }, { tag: 's8', slot: 10_833 }, { tag: 'q6', slot: 11_773 },
  { tag: 'd0', slot: 12_733 }, { tag: 'h8', slot: 13_784 }, { tag: 's9', slot: 14_960 }, { tag: 'p0', slot: 15_882 }
]

/** Returns the index of the shard that a subject belongs to: FNV-1a, folded. */
export function shardOf (subject: string, shards: number): number {
  let hash = 0x811c9dc5
  for (let index = 0; index < subject.length; index++) hash = Math.imul(hash ^ subject.charCodeAt(index), 0x01000193)
  return ((hash ^ hash >>> 16) >>> 0) % shards
}
