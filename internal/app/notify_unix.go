//go:build unix

package app

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// monotonic is what RELOADING=1 is followed by: Type=notify-reload asks when.
func monotonic() string {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return ""
	}
	return fmt.Sprintf("\nMONOTONIC_USEC=%d", now.Nano()/1000)
}
