package main

import (
	"slices"
	"sync"
	"time"

	"github.com/mqttward/mqttward/bench/rig"
)

// usage is what a process took while it was attacked.
type usage struct {
	Before, Steady, Max int // bytes of memory: just before, the median of the second half, the most
	Descriptors         int // the most
	CPU                 float64
}

// sampler looks at a process until it is told to stop.
type sampler struct {
	pid     int
	before  time.Duration
	stop    chan struct{}
	done    sync.WaitGroup
	memory  []int
	most    int // of descriptors
	problem error
}

// every is the time between two looks at the memory; descriptors, which cost
// more, are counted at every tenth.
const every = 100 * time.Millisecond

// sample looks at p for the first time before it returns. Without a process
// there is nothing to see.
func sample(p *rig.Process) (*sampler, error) {
	if p == nil {
		return nil, nil
	}
	s := &sampler{pid: p.PID, stop: make(chan struct{})}
	var err error
	if s.before, err = rig.CPU(s.pid); err != nil {
		return nil, err
	}
	if s.look(true); s.problem != nil {
		return nil, s.problem
	}
	s.done.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for n := 1; s.problem == nil; n++ {
			select {
			case <-s.stop:
				return
			case <-tick.C:
				s.look(n%10 == 0)
			}
		}
	})
	return s, nil
}

func (s *sampler) look(files bool) {
	n, err := rig.ResidentAlone(s.pid)
	s.memory = append(s.memory, n)
	if err == nil && files {
		n, err = rig.Descriptors(s.pid)
		s.most = max(s.most, n)
	}
	s.problem = err
}

// end stops the sampler and returns what it saw.
func (s *sampler) end() (usage, error) {
	if s == nil {
		return usage{}, nil
	}
	close(s.stop)
	s.done.Wait()
	if s.problem != nil {
		return usage{}, s.problem
	}
	after, err := rig.CPU(s.pid)
	return summary(s.memory, s.most, after-s.before), err
}

func summary(memory []int, descriptors int, cpu time.Duration) usage {
	second := slices.Sorted(slices.Values(memory[len(memory)/2:]))
	return usage{
		Before: memory[0], Steady: second[len(second)/2], Max: slices.Max(memory),
		Descriptors: descriptors, CPU: cpu.Seconds(),
	}
}
