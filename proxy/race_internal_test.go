//go:build race

package proxy

// PoolAllocations are what may be allocated for something that comes from a pool: with the
// race detector sync.Pool forgets some of what it is given.
const PoolAllocations = 2
