package agent

import (
	"context"

	"github.com/inhaul/inhaul/spec"
)

// Databases makes the throwaway databases of a preview.
type Databases interface {
	// StartDatabases makes sure that the databases of r are there and as the platform
	// owner's word has them, and that each has its credentials, which are made once and
	// never change. It may be called as often as one likes: what is as it should be is
	// not touched. The objects go into the inventory. A *Rejected error says that there
	// is and will be no such database.
	StartDatabases(ctx context.Context, r Release) ([]Object, error)
	// WatchDatabases calls see with how each of r's databases is, in the order of
	// r.App, at once and then on every change, until see returns true or ctx ends.
	WatchDatabases(ctx context.Context, r Release, see func([]DatabaseObservation) bool) error
}

// Clones fills new databases from others, by the platform owner's command.
type Clones interface {
	// StartClone makes sure that the Job which fills database d of r is there. Its name
	// is derived from the preview and the database, so it is made at most once for as
	// long as the preview is there. A *Rejected error says that there will be no Job.
	StartClone(ctx context.Context, r Release, d spec.Database) error
	// WatchClone calls see with how the Job goes, at once and then on every change,
	// until see returns true or ctx ends.
	WatchClone(ctx context.Context, r Release, d spec.Database, see func(PredeployObservation) bool) error
}

// DatabaseObservation is what the cluster shows of one database of a release.
type DatabaseObservation struct {
	Name    string // as inhaul.yaml has it
	Type    string // "postgres" or "redis"
	Ready   bool   // it takes connections
	Missing bool   // there is no such database: not yet seen, or somebody deleted it
	Pods    []PodObservation
}
