//go:build !race

package proxy

// PoolAllocations are what may be allocated for something that comes from a pool.
const PoolAllocations = 0
