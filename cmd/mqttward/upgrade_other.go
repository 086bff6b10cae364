//go:build !unix

package main

import "os"

// notifyUpgrade does nothing where there is no such signal.
func notifyUpgrade(chan<- os.Signal) {}
