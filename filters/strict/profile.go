package strict

// Profile is the shields of a broker.
type Profile struct {
	Name                                                                      string
	NoSlashInNames, LocalAcks, NoV5, OnlySYS, NoWillProperties, ShareExcludes bool
	MaxLevels                                                                 int
}
