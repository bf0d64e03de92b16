package agent

import (
	"context"
	"errors"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// ErrConflict says that somebody else wrote first: read again and decide anew.
var ErrConflict = errors.New("written by somebody else meanwhile")

// ErrExists says that a release with that number is there already.
var ErrExists = errors.New("exists already")

// ErrNotIntent says that what lies under a tag can never be an intent: asking
// again is of no use.
var ErrNotIntent = errors.New("not an intent")

// ErrNoCommit says that GitHub will never show a check there: the repository, the
// commit or the check run is gone. Asking again is of no use.
var ErrNoCommit = errors.New("no such commit to report on")

// ErrNotPermitted says that the agent may not show that. Somebody may be about to
// mend it.
var ErrNotPermitted = errors.New("not permitted")

// ErrForeign says that something is not the agent's, or not any more.
var ErrForeign = errors.New("not the agent's")

// ErrUnvouched says that the API server would let anybody ask in another's name.
var ErrUnvouched = errors.New("nobody vouches for who asks")

// Notice is an intent as its tag announces it; nothing of it is verified.
type Notice struct {
	Tag          string
	Environment  string
	IssuedAt     time.Time
	DigestPrefix string // hex, the beginning of the intent digest
}

// Registry is where intents are published.
type Registry interface {
	// List returns a notice for every intent tag of the repository, by one paged
	// call. A repository that does not exist yet has none.
	List(ctx context.Context, repository string) ([]Notice, error)
	// Fetch returns the envelope under tag; its size is capped. ErrNotIntent
	// where there is something else.
	Fetch(ctx context.Context, repository, tag string) ([]byte, error)
}

// Keys are the public keys of OIDC issuers.
type Keys interface {
	// Keys returns the issuer's keys, from a cache if it can.
	Keys(ctx context.Context, issuer string) (jose.JSONWebKeySet, error)
	// Refresh asks the issuer anew, because a key ID is unknown. An error says
	// that it could not be asked now; try again later.
	Refresh(ctx context.Context, issuer string) (jose.JSONWebKeySet, error)
}

// Releases is the log of releases, kept in the cluster.
type Releases interface {
	// CreateRelease makes r durable; ErrExists if its number is taken. The
	// namespace of the environment exists afterwards, that of a preview with its
	// quota and limits. A *Rejected error says that the API server will never store
	// it, or that the namespace of the preview is somebody else's.
	CreateRelease(ctx context.Context, r Release) (Release, error)
	// UpdateRelease makes r.Status durable; ErrConflict if r.Version is old.
	UpdateRelease(ctx context.Context, r Release) (Release, error)
}

// ReleaseReader reads the log of releases from the agent's cache.
type ReleaseReader interface {
	// Releases returns the kept releases of a line, oldest first.
	Releases(line Line) []Release
	// Changed delivers the line of every release that changed, and of every request
	// that was made; it never blocks the cache for long, and it is closed with the
	// cache.
	Changed() <-chan Line
}

// Requests are the rollbacks that people ask for in the cluster itself.
type Requests interface {
	// Requests returns those that have no answer yet from the agent's cache, oldest
	// first.
	Requests() []Request
	// Conclude makes r.Answer durable, and forgets the oldest answered requests of
	// r's namespace beyond a bound. A request that is gone needs no answer.
	// ErrConflict if r.Version is old.
	Conclude(ctx context.Context, r Request) error
}

// Requesters are who asks.
type Requesters interface {
	// Vouch returns nil if the API server made sure that r was made by r.By.
	// ErrUnvouched says that it did not.
	Vouch(ctx context.Context, r Request) error
}

// Apps is the platform owner's word.
type Apps interface {
	// Apps returns every App from the agent's cache, sorted by name.
	Apps() []App
	// UpdateApp changes the status of the named App: change gets the newest
	// state and is called again after a conflict.
	UpdateApp(ctx context.Context, name string, change func(*AppStatus)) error
}

// Previews is the log of previews, kept in the agent's own namespace.
type Previews interface {
	// KeepPreview makes what change makes of the record of line durable, and returns
	// it: change gets the newest state, of which there may be nothing but the line, and
	// is called again after a conflict. If change fails nothing is written.
	KeepPreview(ctx context.Context, line Line, change func(*Preview) error) (Preview, error)
	// ForgetPreview deletes the record; ErrConflict if p.Version is old.
	ForgetPreview(ctx context.Context, p Preview) error
}

// PreviewReader reads the log of previews from the agent's cache, whether there is an
// App of that name or not.
type PreviewReader interface {
	// Preview returns the record of line; false if there is none.
	Preview(line Line) (Preview, bool)
	// Previews returns every record.
	Previews() []Preview
}

// Namespaces are where previews are. CreateRelease makes them.
type Namespaces interface {
	// DeleteNamespace asks for the end of p's namespace, unless it is ending already,
	// and returns what it waits for, in words for people: empty if there is none.
	// ErrForeign says that the one of that name was not made for p, or that its labels
	// do not say so any more: it is left alone. ErrShared says that it was, and that
	// other apps of p's group are in it: see Tenancies.
	DeleteNamespace(ctx context.Context, p Preview) (left string, err error)
}

// Planner knows what a release will make.
type Planner interface {
	// Objects names the objects of r that Apply is going to write, but for Secrets,
	// whose names depend on what is in them. Nothing is written. A *Rejected error
	// says that r cannot be rendered.
	Objects(ctx context.Context, r Release) ([]Object, error)
}

// Cluster is where a release becomes running pods.
type Cluster interface {
	// Apply writes the release's objects (dry run of all first; unchanged ones
	// are not touched) and returns the inventory. A *Rejected error says that
	// the API server refused an object and nothing was written.
	Apply(ctx context.Context, r Release) ([]Object, error)
	// Watch calls see with what the cluster shows of the release, at once and
	// then on every change, until see returns true or ctx ends.
	Watch(ctx context.Context, r Release, see func(Observation) bool) error
}

// Cleaner removes what no release needs.
type Cleaner interface {
	// Prune deletes the objects of gone that are not in kept, and returns those
	// whose deletion was not confirmed. What does not belong to the app of r is
	// left alone.
	Prune(ctx context.Context, r Release, gone, kept []Object) ([]Object, error)
	// Trim deletes the release record.
	Trim(ctx context.Context, r Release) error
}

// Drifts finds what somebody else has done to the objects of a release that
// serves.
type Drifts interface {
	// Drifted returns what differs from what Apply would make of r, objects that
	// leave names aside; with DriftReport, those aside too that Settle was told of
	// and that nobody has changed since. It sends no request while nobody but this
	// process has written to fields of r.
	Drifted(ctx context.Context, r Release, policy DriftPolicy, leave func(Object) bool) ([]Drift, error)
	// Settle writes the objects of revert as r has them, and takes those of
	// reported for what they were when Drifted returned them.
	Settle(ctx context.Context, r Release, revert, reported []Object) error
}

// Witness tells what no cache has. It is asked about what is in trouble, and
// about nothing else. Whatever it returns is redacted and capped.
type Witness interface {
	// Evidence answers a question. It never fails: what the cluster does not tell
	// is empty, with Unread where that could change.
	Evidence(ctx context.Context, r Release, q Question) Evidence
	// Testimony returns c with the last log lines of its container and the events
	// of its pods, both empty where there are none, and takes the values of the
	// app's own secrets out of all of it.
	Testimony(ctx context.Context, r Release, c Cause) Cause
}

// Checks shows a release's truth on its commit.
type Checks interface {
	// Show makes the check run of check.ExternalID look like check, creating it
	// only if there is none, and returns its id. ErrNoCommit where that is
	// impossible for good.
	Show(ctx context.Context, check Check) (int64, error)
}

// Meter counts what this process has made durable: each write at most once, so
// that no change of leader counts anything twice. Both are called concurrently.
type Meter interface {
	// Moved is told of a release that was just written, and of its status before.
	Moved(r Release, was Status)
	// Refused is told of a refusal that was just recorded.
	Refused(r Refusal)
}

// Pulse tells whether the loop lives. Both are called concurrently.
type Pulse interface {
	// Beat is told of every turn of the loop: one at least in each poll interval.
	Beat()
	// Polled is told how a look at an app's registry ended.
	Polled(app string, err error)
}

// Sweeps counts what nobody owns. It is called concurrently.
type Sweeps interface {
	// Swept is told of every look at the namespaces of previews: how many have been there
	// for long without a record.
	Swept(orphans int)
}

// Rejected is the API server's refusal of an object.
type Rejected struct { //nolint:errname // because it is the API server's decision first
	Object  Object
	Message string
	Setting string // of inhaul.yaml that may be at fault; may be empty
}

func (r *Rejected) Error() string {
	return "applying " + r.Object.Kind + " " + r.Object.Name + ": " + r.Message
}
