package rig

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// CPU returns the processor time, user and system, of all threads that a
// process and its children have or had.
//
// It is what the process's own CLOCK_PROCESS_CPUTIME_ID says, in nanoseconds
// as the scheduler counts them. The times in /proc/PID/stat are in ticks of
// 10 ms; those in /proc/PID/task/*/schedstat lack threads that have ended, and
// stunnel has one for each connection.
func CPU(pid int) (total time.Duration, err error) {
	pids, err := family(pid)
	if err != nil {
		return 0, err
	}
	for _, pid := range pids {
		var t unix.Timespec
		// clock_getcpuclockid(3): the complement of the process, and
		// CPUCLOCK_SCHED, which is 2.
		clock := int32(^pid)<<3 | 2 //nolint:gosec // G115: a process identifier has at most 22 bits
		if err := unix.ClockGettime(clock, &t); err != nil {
			return 0, fmt.Errorf("clock of process %d: %w", pid, err)
		}
		total += time.Duration(t.Nano())
	}
	return total, nil
}

// Resident returns the bytes of memory of a process and its children.
func Resident(pid int) (total int, err error) {
	pids, err := family(pid)
	if err != nil {
		return 0, err
	}
	for _, pid := range pids {
		n, err := ResidentAlone(pid)
		if err != nil {
			return 0, err
		}
		total += n
	}
	return total, nil
}

// ResidentAlone returns the bytes of memory of a process without its children,
// which costs little: it may be called many times a second.
func ResidentAlone(pid int) (int, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	return parseResident(string(status))
}

// Descriptors returns how many files a process has open.
func Descriptors(pid int) (int, error) {
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	return len(files), err
}

// family returns a process and its children: nginx works in one.
func family(pid int) ([]int, error) {
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	pids := []int{pid}
	for _, file := range files {
		stat, err := os.ReadFile(file)
		if err != nil { // it has ended meanwhile
			continue
		}
		child, parent, err := parseStat(string(stat))
		if err != nil {
			return nil, err
		}
		if parent == pid {
			pids = append(pids, child)
		}
	}
	return pids, nil
}

// parseStat reads fields 1 and 4 of proc_pid_stat(5), the process and its
// parent. Field 2, the name of the command, may hold blanks and parentheses.
func parseStat(stat string) (pid, parent int, err error) {
	first, _, _ := strings.Cut(stat, " ")
	rest := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	if len(rest) < 2 {
		return 0, 0, fmt.Errorf("no process status: %q", stat)
	}
	if pid, err = strconv.Atoi(first); err != nil {
		return 0, 0, err
	}
	parent, err = strconv.Atoi(rest[1])
	return pid, parent, err
}

// parseResident reads VmRSS of proc_pid_status(5), in kB, and returns bytes.
func parseResident(status string) (int, error) {
	_, rest, found := strings.Cut(status, "\nVmRSS:")
	if !found {
		return 0, fmt.Errorf("no VmRSS: %q", status)
	}
	var kB int
	if _, err := fmt.Sscanf(rest, "%d kB", &kB); err != nil {
		return 0, fmt.Errorf("VmRSS: %w", err)
	}
	return kB << 10, nil
}

// RaiseFiles lets this process, and those that it starts, open as many files
// as they may.
func RaiseFiles() error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	limit.Cur = limit.Max
	return syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)
}
