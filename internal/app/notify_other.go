//go:build !unix

package app

func monotonic() string { return "" }
