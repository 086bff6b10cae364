package configs

import (
	"fmt"
	"strconv"
	"strings"
)

// Runtime says how the process uses the memory of its machine.
type Runtime struct {
	MemoryLimit MemoryLimit `yaml:"memory_limit"`
	GCPercent   GCPercent   `yaml:"gc_percent"`
}

// minMemoryLimit is the least for a process that is to do anything but collect
// garbage.
const minMemoryLimit = 32 * MiB

// MemoryLimit is what the process is to keep below: "90%" of the memory that its
// cgroup has, a size, or "off", the zero value. One of the fields at most is set.
type MemoryLimit struct {
	Percent int // of the cgroup's limit; without one there is none
	Size    Size
}

// UnmarshalText reads one of the three forms.
func (m *MemoryLimit) UnmarshalText(text []byte) error {
	*m = MemoryLimit{}
	s := string(text)
	if s == "off" {
		return nil
	}
	var err error
	if share, ok := strings.CutSuffix(s, "%"); ok {
		m.Percent, err = strconv.Atoi(share)
		if err != nil || m.Percent < 1 || m.Percent > 100 {
			return fmt.Errorf("wants a share from 1%% to 100%%, not %s", quote(s))
		}
		return nil
	}
	if m.Size, err = parseSize(s); err != nil {
		return fmt.Errorf("wants a share such as 90%%, a size such as 512MiB, or off, not %s", quote(s))
	}
	if m.Size < minMemoryLimit {
		return fmt.Errorf("wants at least %dMiB, not %s", minMemoryLimit/MiB, quote(s))
	}
	return nil
}

// GCPercent is how much garbage may gather before it is collected, in hundredths of
// what is in use. The zero value, "auto", goes by how much that is.
type GCPercent int

// maxGCPercent keeps a slip of the finger from eating all memory.
const maxGCPercent = 1000

// UnmarshalText reads "auto" or a number.
func (g *GCPercent) UnmarshalText(text []byte) error {
	if string(text) == "auto" {
		*g = 0
		return nil
	}
	n, err := strconv.Atoi(string(text))
	if err != nil || n < 10 || n > maxGCPercent {
		return fmt.Errorf("wants auto, or a whole number from 10 to %d, not %s", maxGCPercent, quote(string(text)))
	}
	*g = GCPercent(n)
	return nil
}
