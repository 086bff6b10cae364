package app

import (
	"errors"
	"fmt"
	"math"
	"os"
	"runtime"
	"runtime/debug"

	"github.com/KimMachineGun/automemlimit/memlimit"

	"github.com/mqttward/mqttward/configs"
)

// tune tells the Go runtime how to use memory, and the log what came of it. What
// GOMEMLIMIT and GOGC say in the environment stays. The number of processors is the
// runtime's own business: it follows the quota of the cgroup.
func (a *App) tune(r configs.Runtime) {
	limit := debug.SetMemoryLimit(-1)
	if os.Getenv("GOMEMLIMIT") == "" {
		var err error
		if limit, err = memoryLimit(r.MemoryLimit, memlimit.FromCgroup); err != nil {
			a.logs.Log.Warn("the memory limit of the cgroup is not known, and none is kept", "error", err)
		}
		debug.SetMemoryLimit(limit)
	}
	a.shared.budget.limit.Store(limit)
	gc := os.Getenv("GOGC")
	if gc == "" {
		gc = a.collector.set(int(r.GCPercent))
	}
	a.logs.Log.Info("runtime", "memory_limit", limitText(limit), "gc_percent", gc, "processors", runtime.GOMAXPROCS(0))
}

// noLimit is what the runtime takes for no memory limit.
const noLimit = math.MaxInt64

// memoryLimit returns what the process is to keep below, in bytes: noLimit unless l
// is a size, or the cgroup has a limit of which l is a share. With an error it is
// noLimit, too: a wrong guess would make the process collect garbage all the time.
func memoryLimit(l configs.MemoryLimit, cgroup memlimit.Provider) (int64, error) {
	switch {
	case l.Size > 0:
		return int64(l.Size), nil
	case l.Percent == 0:
		return noLimit, nil
	}
	whole, err := cgroup()
	for _, none := range []error{memlimit.ErrNoLimit, memlimit.ErrNoCgroup, memlimit.ErrCgroupsNotSupported} {
		if errors.Is(err, none) {
			return noLimit, nil
		}
	}
	if err != nil || whole > noLimit {
		return noLimit, err
	}
	return int64(float64(whole) * float64(l.Percent) / 100), nil
}

func limitText(limit int64) string {
	if limit == noLimit {
		return "none"
	}
	return fmt.Sprintf("%dMiB", limit>>20)
}
