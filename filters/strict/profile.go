package strict

import (
	"slices"
	"strings"
	"sync/atomic"
)

// Broker is the profile of the broker, as far as it is known. The filters of all
// sessions share one, so that they follow when it becomes known. Nil and the zero
// Broker keep the profile legacy.
type Broker struct{ profile atomic.Pointer[Profile] }

// Set puts p in force.
func (b *Broker) Set(p Profile) { b.profile.Store(&p) }

// Profile returns the profile in force.
func (b *Broker) Profile() *Profile {
	if b != nil {
		if p := b.profile.Load(); p != nil {
			return p
		}
	}
	return &legacy
}

// Profile is what is kept from a broker because it does not bear it. The zero
// Profile keeps nothing from it.
type Profile struct {
	Name string

	NoV5             bool // it does not speak MQTT 5.0
	NoSlashInNames   bool // its patterns take client identifiers and user names with / for more than one level
	LocalAcks        bool // it disconnects clients that acknowledge what it does not know
	OnlySYS          bool // topics with $ other than $SYS end it
	NoWillProperties bool // properties of a Will corrupt its memory
	ShareExcludes    bool // so does a filter that one session holds shared and not shared
	MaxLevels        int  // deeper topics exhaust its stack; zero: it bears all
}

// Together returns the profile that keeps from several brokers what one of them does
// not bear.
func Together(list []Profile) Profile {
	var all Profile
	var names []string
	for _, p := range list {
		if !slices.Contains(names, p.Name) {
			names = append(names, p.Name)
		}
		all.NoV5 = all.NoV5 || p.NoV5
		all.NoSlashInNames = all.NoSlashInNames || p.NoSlashInNames
		all.LocalAcks = all.LocalAcks || p.LocalAcks
		all.OnlySYS = all.OnlySYS || p.OnlySYS
		all.NoWillProperties = all.NoWillProperties || p.NoWillProperties
		all.ShareExcludes = all.ShareExcludes || p.ShareExcludes
		if p.MaxLevels > 0 && (all.MaxLevels == 0 || p.MaxLevels < all.MaxLevels) {
			all.MaxLevels = p.MaxLevels
		}
	}
	all.Name = strings.Join(names, "+")
	return all
}

// profiles are the profiles by name, each for the versions up to last.
var profiles = []struct {
	last Version
	Profile
}{
	{Version{1, 4, 15}, Profile{Name: "mosquitto-1.4", NoV5: true, NoSlashInNames: true, LocalAcks: true, MaxLevels: 100, ShareExcludes: true}},
	{Version{1, 5, 99}, Profile{Name: "mosquitto-1.5", NoV5: true, OnlySYS: true, MaxLevels: 100, ShareExcludes: true}},
	{Version{1, 6, 99}, Profile{Name: "mosquitto-1.6", NoWillProperties: true, MaxLevels: 100, ShareExcludes: true}},
	{Version{2, 0, 11}, Profile{Name: "mosquitto-2.0a", ShareExcludes: true}},
	{Version{2, 0, 15}, Profile{Name: "mosquitto-2.0b", ShareExcludes: true}},
	{Version{2, 0, 17}, Profile{Name: "mosquitto-2.0c", ShareExcludes: true}},
	{Version{2, 0, 18}, Profile{Name: "mosquitto-2.0d", ShareExcludes: true}},
	{Version{99, 0, 0}, Profile{Name: "mosquitto-2.1"}},
}

// legacy is for a broker that does not say what it is. It has the shields that a
// good broker's clients do not notice, and none that would take from them what
// such a broker can do: MQTT 5.0, names with /, topics with $, properties of a
// Will.
var legacy = Profile{Name: "legacy", ShareExcludes: true, MaxLevels: 100}

// ProfileOf returns the profile of a version of Mosquitto, without what was
// mended within its range.
func ProfileOf(v Version) Profile {
	i := slices.IndexFunc(profiles, func(p struct {
		last Version
		Profile
	},
	) bool {
		return v.Compare(p.last) <= 0
	})
	if i < 0 {
		i = len(profiles) - 1
	}
	p := profiles[i].Profile
	since := func(mended Version) bool { return v.Compare(mended) >= 0 }
	p.NoSlashInNames = p.NoSlashInNames && !since(Version{1, 4, 13})
	p.LocalAcks = p.LocalAcks && !since(Version{1, 4, 9})
	p.OnlySYS = p.OnlySYS && !since(Version{1, 5, 3})
	p.NoWillProperties = p.NoWillProperties && !since(Version{1, 6, 2})
	if v.Compare(Version{1, 5, 9}) >= 0 && v.Compare(Version{1, 6, 0}) < 0 || since(Version{1, 6, 6}) {
		p.MaxLevels = 0 // it has a limit of 200 itself
	}
	return p
}

// ParseProfile returns the profile of a name: "none", "legacy", or that of a
// range of versions, with all that its worst version needs.
func ParseProfile(name string) (Profile, bool) {
	switch name {
	case "none":
		return Profile{Name: name}, true
	case legacy.Name:
		return legacy, true
	}
	for _, p := range profiles {
		if p.Name == name {
			return p.Profile, true
		}
	}
	return Profile{}, false
}
