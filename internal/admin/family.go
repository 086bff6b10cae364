package admin

import (
	"maps"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// maxSeries bounds the series of one family. The sets of label values are
// small and known to the code that counts; this is for the day they are not.
const maxSeries = 64

// other is the label value of everything that came after maxSeries.
const other = "other"

// labels are the values of a family's one or two labels.
type labels [2]string

// family is a counter by label values, with the handle of every series held:
// a lookup in a map that never changes costs a fraction of a lookup in a
// CounterVec, and a busy proxy counts with every burst. Beyond maxSeries all
// new label values share one series.
type family struct {
	vec   *prometheus.CounterVec
	arity int

	mu    sync.Mutex                                    // serialises learn
	known atomic.Pointer[map[labels]prometheus.Counter] // replaced, never changed
}

func newFamily(r *prometheus.Registry, name, help string, names ...string) *family {
	f := &family{
		vec:   prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, names),
		arity: len(names),
	}
	f.known.Store(&map[labels]prometheus.Counter{})
	r.MustRegister(f.vec)
	return f
}

// seed makes the series exist at zero, so that a rate sees its first event.
func (f *family) seed(values ...string) { f.counter(values...) }

// counter returns the series of the values, one for each label of the family.
func (f *family) counter(values ...string) prometheus.Counter {
	var key labels
	copy(key[:], values)
	known := *f.known.Load()
	if c, ok := known[key]; ok {
		return c
	}
	if len(known) >= maxSeries {
		return f.overflow()
	}
	return f.learn(key)
}

func (f *family) learn(key labels) prometheus.Counter {
	f.mu.Lock()
	defer f.mu.Unlock()
	known := *f.known.Load()
	if c, ok := known[key]; ok {
		return c
	}
	if len(known) >= maxSeries {
		return f.overflow()
	}
	// It fails for a value that is not UTF-8, which cannot be shown.
	c, err := f.vec.GetMetricWithLabelValues(key[:f.arity]...)
	if err != nil {
		return f.overflow()
	}
	grown := maps.Clone(known)
	grown[key] = c
	f.known.Store(&grown)
	return c
}

func (f *family) overflow() prometheus.Counter {
	key := labels{other, other}
	return f.vec.WithLabelValues(key[:f.arity]...)
}
