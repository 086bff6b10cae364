package main

import (
	"fmt"
	"os"
	"strings"
	"time"
)

// tick is the unit of processor times in /proc: USER_HZ, which is 100 wherever
// Go runs on Linux.
const tick = 10 * time.Millisecond

// cpuOf returns the processor time, user and system, of all threads that a
// process has or had.
func cpuOf(pid int) (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	return parseStat(string(stat))
}

// parseStat reads fields 14 and 15 of proc_pid_stat(5). Field 2, the name of
// the command, may hold blanks and parentheses.
func parseStat(stat string) (time.Duration, error) {
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	if len(fields) < 13 {
		return 0, fmt.Errorf("no process status: %q", stat)
	}
	var user, system int64
	_, err := fmt.Sscan(fields[11]+" "+fields[12], &user, &system)
	return time.Duration(user+system) * tick, err
}
