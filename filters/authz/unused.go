package authz

import "fmt"

// Unused returns the rules that have decided nothing yet, as decisions name them,
// in order.
func (p *Policy) Unused() []string {
	var unused []string
	for _, r := range p.rules {
		if !r.used.Load() {
			unused = append(unused, r.label)
		}
	}
	return unused
}

// Inherit takes over from last, which may be nil, which rules have decided
// something: those that say the same, wherever they stand now.
func (p *Policy) Inherit(last *Policy) {
	if last == nil {
		return
	}
	used := make(map[string]bool)
	for _, r := range last.rules {
		if r.used.Load() {
			used[r.text()] = true
		}
	}
	if len(used) == 0 {
		return
	}
	for _, r := range p.rules {
		if used[r.text()] {
			r.use()
		}
	}
}

// text is what the rule says, without its name and place.
func (r *rule) text() string {
	said := r.Rule
	said.Name, said.Place, said.Subjects, said.Within, said.Without = "", "", Subjects{}, nil, nil
	retain, wills, persistent := "", "", ""
	if r.Retain != nil {
		retain = fmt.Sprint(*r.Retain)
	}
	if r.Wills != nil {
		wills = fmt.Sprint(*r.Wills)
	}
	if r.Persistent != nil {
		persistent = fmt.Sprint(*r.Persistent)
	}
	said.Retain, said.Wills, said.Persistent = nil, nil, nil
	return fmt.Sprintf("%+v %s %s %s %s", said, retain, wills, persistent, r.subjectsKey())
}
