// Package rig is what the measuring commands in bench share: processes that
// are started and looked at from outside, one end of an MQTT connection, keys,
// percentiles and tables.
//
// It measures nothing by itself. What it reads about processes is Linux's:
// elsewhere those calls fail.
package rig

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"
)

// Grace is how much longer than asked for anything may take.
const Grace = 10 * time.Second

// Percentile returns the least value that permille of the sorted ones do not
// exceed: the nearest rank.
func Percentile(sorted []time.Duration, permille int) time.Duration {
	return sorted[max(0, (len(sorted)*permille+999)/1000-1)]
}

// Machine names what the measurement runs on.
func Machine() string {
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease") // left out if it cannot be read
	return fmt.Sprintf("%s, %d processors, %s, Linux %s",
		runtime.Version(), runtime.NumCPU(), runtime.GOARCH, strings.TrimSpace(string(kernel)))
}
