package ratelimit

import (
	"container/heap"
	"time"
)

// add puts a ban in force whose subject has none. The caller holds b.mu.
func (b *Bans) add(entry *ban) {
	if !entry.Manual {
		b.makeRoom()
	}
	b.inForce[entry.Subject] = entry
	if entry.network.IsValid() {
		b.networks.Insert(entry.network, entry)
	}
	if entry.Manual {
		b.manual++
	}
	if !entry.Until.IsZero() {
		entry.due = entry.Until
		heap.Push(b.queueOf(entry), entry)
	}
	b.entries.Add(1)
	b.version.Add(1)
}

// makeRoom makes room for an automatic ban. The caller holds b.mu.
func (b *Bans) makeRoom() {
	if len(b.ending[0])+len(b.remembered) < maxAutomatic {
		return
	}
	if len(b.forgetting) > 0 {
		b.forget(b.forgetting[0].Subject)
		return
	}
	b.forget(b.ending[0][0].Subject)
}

// forget takes a subject out of all tables of bans, and reports whether a ban of it
// was in force. The caller holds b.mu.
func (b *Bans) forget(s Subject) bool {
	if old, ok := b.remembered[s]; ok {
		delete(b.remembered, s)
		heap.Remove(&b.forgetting, old.place)
	}
	old, ok := b.inForce[s]
	if !ok {
		return false
	}
	if !old.Until.IsZero() {
		heap.Remove(b.queueOf(old), old.place)
	}
	b.leave(old)
	b.version.Add(1)
	return true
}

// leave ends what is out of its queue. The caller holds b.mu.
func (b *Bans) leave(old *ban) {
	delete(b.inForce, old.Subject)
	if old.network.IsValid() {
		b.networks.Delete(old.network)
	}
	if old.Manual {
		b.manual--
	}
	b.entries.Add(-1)
}

func (b *Bans) queueOf(entry *ban) *queue {
	if entry.Manual {
		return &b.ending[1]
	}
	return &b.ending[0]
}

// Sweep gives back the memory of what is over at the time now. It is to be called
// now and then.
func (b *Bans) Sweep(now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.sweep(now)
	b.sweepCounts(now)
}

// sweep has bans end that are over, and forgets them when it is time. The caller
// holds b.mu.
func (b *Bans) sweep(now time.Time) {
	for i := range b.ending {
		for entry := b.ending[i].next(now); entry != nil; entry = b.ending[i].next(now) {
			b.leave(entry)
			if !entry.Manual {
				entry.due = entry.forget
				b.remembered[entry.Subject] = entry
				heap.Push(&b.forgetting, entry)
			}
		}
	}
	for entry := b.forgetting.next(now); entry != nil; entry = b.forgetting.next(now) {
		delete(b.remembered, entry.Subject)
	}
}

// queue is bans by when something is due with them, the next one first. It is a
// heap.Interface.
type queue []*ban

func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, j int) bool { return q[i].due.Before(q[j].due) }

func (q queue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].place, q[j].place = i, j
}

// Push is for package heap.
func (q *queue) Push(x any) {
	entry, _ := x.(*ban)
	entry.place = len(*q)
	*q = append(*q, entry)
}

// Pop is for package heap.
func (q *queue) Pop() any {
	old := *q
	entry := old[len(old)-1]
	old[len(old)-1] = nil
	*q = old[:len(old)-1]
	return entry
}

// next takes out the next one if it is due, or returns nil.
func (q *queue) next(now time.Time) *ban {
	if len(*q) == 0 || now.Before((*q)[0].due) {
		return nil
	}
	entry, _ := heap.Pop(q).(*ban)
	return entry
}
