//go:build !linux

package rig

import (
	"errors"
	"time"
)

var errNotLinux = errors.New("what a process takes is measured on Linux only")

// CPU is the processor time of a process.
func CPU(int) (time.Duration, error) { return 0, errNotLinux }

// Resident is the memory of a process and its children.
func Resident(int) (int, error) { return 0, errNotLinux }

// ResidentAlone is the memory of a process.
func ResidentAlone(int) (int, error) { return 0, errNotLinux }

// Descriptors is the number of files that a process has open.
func Descriptors(int) (int, error) { return 0, errNotLinux }

// RaiseFiles raises the limit of open files.
func RaiseFiles() error { return nil }
