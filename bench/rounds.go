package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
)

// measureAll lets each scenario meet each peer in each round. The peers take
// turns in going first. A scenario in which a peer has failed does not meet it
// again.
func (l *launcher) measureAll(peers []*peer, o options) (all []measurement, failed, err error) {
	chosen := slices.DeleteFunc(slices.Clone(scenarios), func(s scenario) bool { return !strings.Contains(s.name, o.only) })
	lost := map[string]bool{}
	for round := range o.rounds {
		for _, s := range chosen {
			for i := range peers {
				p := peers[(i+round)%len(peers)]
				both := p.name + ": " + s.name
				if !s.meets(p, round) || lost[both] {
					continue
				}
				fmt.Fprintf(os.Stderr, "round %d: %s\n", round+1, both)
				m, err := l.meet(s, p, o)
				if l.ctx.Err() != nil {
					return nil, nil, l.ctx.Err()
				}
				if err != nil {
					lost[both] = true
					failed = errors.Join(failed, fmt.Errorf("%s: %w", both, err))
					continue
				}
				m.Round = round
				all = append(all, m)
			}
		}
	}
	return all, failed, nil
}

// meet runs one scenario against p, or against another process like it.
func (l *launcher) meet(s scenario, p *peer, o options) (measurement, error) {
	if !s.alone() {
		return s.measure(p, o.time)
	}
	p, err := l.start(p.name, s.policy)
	if err != nil {
		return measurement{}, err
	}
	defer p.stop()
	return s.measure(p, o.time)
}
