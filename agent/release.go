package agent

import (
	"slices"
	"time"

	"github.com/inhaul/inhaul/intent"
	"github.com/inhaul/inhaul/spec"
)

// Phase is how far a release has come.
type Phase string

// The phases of a release. Succeeded, Failed, RolledBack and Superseded are
// terminal: nothing follows them.
const (
	Pending      Phase = "Pending"      // admitted, nothing in the cluster yet
	Provisioning Phase = "Provisioning" // its databases are made, of a preview; nothing of the app has changed
	Predeploying Phase = "Predeploying" // its predeploy command runs; nothing of the app has changed
	Seeding      Phase = "Seeding"      // its seed command runs, once in a preview; nothing of the app has changed
	Applying     Phase = "Applying"     // its objects are being written
	RollingOut   Phase = "RollingOut"   // its objects are written; pods are changing
	Restoring    Phase = "Restoring"    // it failed; the last good release's objects are being written
	Succeeded    Phase = "Succeeded"    // every new pod ready, every old one out of the endpoints
	Failed       Phase = "Failed"       // it failed and nothing was put back: there was nothing, its app says so, that failed too, or a newer one came
	RolledBack   Phase = "RolledBack"   // it failed and the last good release's objects are back
	Superseded   Phase = "Superseded"   // a newer release took its place before it was done
)

// Terminal reports whether nothing follows the phase.
func (p Phase) Terminal() bool {
	switch p {
	case Succeeded, Failed, RolledBack, Superseded:
		return true
	case Pending, Provisioning, Predeploying, Seeding, Applying, RollingOut, Restoring:
	}
	return false
}

// Line names the history that an app has in one environment. Releases of one
// line are numbered from 1 and happen one at a time.
type Line struct {
	App         string
	Environment string
}

// Release is the durable record of one admitted intent: what was asked for,
// which never changes, and how it goes (Status).
type Release struct {
	Line      Line
	Namespace string // Kubernetes namespace of the environment
	Number    int

	Intent   string      // intent digest, "sha256:…"; of a Request, what stands for it
	Kind     intent.Kind // what was asked for
	Reason   Reason      // why ordering admitted it
	Restore  int         // number of the release that this one brings back, 0 for none
	Commit   string      // whose code it runs, of one that brings back another; see Release.deployed
	Note     string      // ordering's word for people, may be empty
	Rule     string      // policy rule that allowed it
	Image    string      // repository@sha256:…
	Source   intent.Source
	App      spec.App
	Config   *intent.Config // where its settings are written; nil: not known
	IssuedAt time.Time
	Evidence intent.Evidence

	Parked  bool // it has no record of its own yet: its preview waits for room, and has this
	Removed bool // its own record went with the namespace of its preview, which has this
	Asleep  bool // its preview is scaled to zero: of the preview's record, for whoever asked for it

	Status  Status
	Version string // opaque; for optimistic concurrency
}

// Reason says why ordering admitted an intent.
type Reason string

// The reasons to admit.
const (
	ReasonNewest   Reason = "Newest"   // the newest event of its line
	ReasonRollback Reason = "Rollback" // an older run again, or an older release by number
	ReasonRedeploy Reason = "Redeploy" // the newest run again, or an older one that never succeeded
	ReasonForced   Reason = "Forced"   // an older event, forced, and policy lets it
)

// Status is how a release goes. All of it is written by the agent.
type Status struct {
	Phase        Phase
	Message      string // one line for kubectl get and for the check's title
	Cause        *Cause // why it failed, if it did
	SupersededBy string // commit of the release that took its place
	RestoredTo   int    // release whose objects are back after a failure
	Timeline     []Moment
	Services     []ServiceStatus
	Reported     []Reported // by way; see Shown
	ReportedOn   string     // commit that what is of a pull request is reported on, once that is known: its head, if GitHub says so
	// PredeployLog has the last lines of a predeploy that ended well, redacted; of
	// one that did not they are in Cause.
	PredeployLog string
	SeedLog      string        // of a seed that ended well, redacted
	Drift        []DriftRecord // what others have changed of it while it served, newest last, bounded
	Inventory    []Object      // what the release makes; on record before it does, Secrets aside; pruning needs it
}

// Step names a moment of a release.
type Step string

// The steps of a release, in order.
const (
	StepNoticed      Step = "noticed"      // the intent's tag was seen in the registry
	StepVerified     Step = "verified"     // signature, claims and policy hold
	StepAdmitted     Step = "admitted"     // the release is durable
	StepDatabases    Step = "databases"    // every database of a preview is ready, and filled where it is to be
	StepPredeploying Step = "predeploying" // the predeploy's Job was made: it never is again
	StepPredeployed  Step = "predeployed"  // the predeploy command ended well
	StepSeeding      Step = "seeding"      // the seed's Job was made, or found: this release never makes it again
	StepSeeded       Step = "seeded"       // the seed command ended well
	StepApplied      Step = "applied"      // the API server has every object
	StepReady        Step = "ready"        // the last new pod became Ready, by the kubelet's clock
	StepVerdict      Step = "verdict"      // the verdict is durable
	StepRestored     Step = "restored"     // after a failure, the last good release's objects are back
	StepReported     Step = "reported"     // the check shows the verdict, or what stands for it; see Ports.Ways
)

// Moment is when a step was reached.
type Moment struct {
	Step Step
	At   time.Time
}

// At returns when step was reached; the zero time if it was not.
func (s Status) At(step Step) time.Time {
	for _, m := range s.Timeline {
		if m.Step == step {
			return m.At
		}
	}
	return time.Time{}
}

// last is when the newest step was reached.
func (s Status) last() time.Time {
	var last time.Time
	for _, m := range s.Timeline {
		last = later(last, m.At)
	}
	return last
}

// Reach records step at the given time unless it is there already: the first
// time counts, so that a resumed step keeps its moment.
func (s *Status) Reach(step Step, at time.Time) {
	if s.At(step).IsZero() {
		s.Timeline = append(s.Timeline, Moment{Step: step, At: at})
	}
}

// ServiceStatus is one service's row in the check.
type ServiceStatus struct {
	Name     string
	Desired  int
	Ready    int // new pods that are Ready
	Restarts int // of the new pods
}

// Reported is what a way shows of a release, or would if that had not been given
// up: the outbox compares it with what the way is to show.
type Reported struct {
	Way   Way
	Phase Phase // as far as the way tells phases apart
	Ready int   // new pods that are Ready, of a rollout that takes long; check and receipt only
	ID    int64 // of the check run, the deployment or the comment; of receipts the number of the last one
}

// Shown returns what the way shows; nothing yet if it is not on record.
func (s Status) Shown(way Way) Reported {
	for _, reported := range s.Reported {
		if reported.Way == way {
			return reported
		}
	}
	return Reported{Way: way}
}

// report puts what a way shows in the place of what it showed before. It shares
// nothing with earlier copies of s.
func (s *Status) report(shown Reported) {
	s.Reported = slices.Clone(s.Reported)
	i := slices.IndexFunc(s.Reported, func(r Reported) bool { return r.Way == shown.Way })
	if i < 0 {
		s.Reported = append(s.Reported, shown)
		return
	}
	s.Reported[i] = shown
}

// Object names one Kubernetes object of a release.
type Object struct {
	APIVersion string
	Kind       string
	Namespace  string
	Name       string
}

// CauseKind names why a release failed.
type CauseKind string

// The causes that are told apart. They are stored: a name, once used, keeps its
// meaning.
const (
	CauseImagePull     CauseKind = "ImagePull"     // the image cannot be pulled
	CauseArchitecture  CauseKind = "Architecture"  // the image, or its program, is for another CPU
	CauseConfig        CauseKind = "Config"        // the container cannot be made or started as configured
	CauseSecret        CauseKind = "Secret"        // a secret that is referred to is not there
	CauseCrash         CauseKind = "Crash"         // a container ended twice
	CauseOutOfMemory   CauseKind = "OutOfMemory"   // a container ended twice, last at its memory limit
	CauseNotListening  CauseKind = "NotListening"  // never ready: nothing takes connections on its port
	CauseProbe         CauseKind = "Probe"         // never ready, or ended: its health check gets a bad answer, or none
	CauseNotReady      CauseKind = "NotReady"      // never ready, and nothing says why
	CauseUnschedulable CauseKind = "Unschedulable" // no node takes the pod
	CauseQuota         CauseKind = "Quota"         // the namespace's quota or limits leave no room
	CauseAdmission     CauseKind = "Admission"     // a policy or a webhook of the cluster denies an object, or pods
	CauseRejected      CauseKind = "Rejected"      // the API server refuses an object that is not valid
	CausePredeploy     CauseKind = "Predeploy"     // the predeploy command failed, took too long, or was cancelled
	CauseSeed          CauseKind = "Seed"          // the seed command of a preview did
	CauseTeardown      CauseKind = "Teardown"      // the teardown command of a preview did; the preview went all the same
	CauseNoProgress    CauseKind = "NoProgress"    // the cluster does not do its part in time
)

// Cause is why a release failed, in words a developer understands.
type Cause struct {
	Kind      CauseKind
	Service   string
	Setting   string // of inhaul.yaml that may be at fault, "services.web.port"; empty: none
	Pod       string
	Container string
	ExitCode  int    // of the container's last end, if it ended
	Message   string // what happened: "web: container ended with exit code 3, twice"
	Next      string // what to do next
	Log       string // last lines of the container's log, redacted
	Events    []string
}

// Refusal is the durable record of an intent that was not admitted.
type Refusal struct {
	Line         Line
	Intent       string    // intent digest; empty if nothing of it is verified
	Tag          string    // where it was found in the registry
	IssuedAt     time.Time // of an intent that ordering refused; zero for every other
	Superseded   bool      // true: ordering; false: denied
	SupersededBy string    // commit that stands instead
	Rule         string    // which rule decided, "signature", "policy: ref", "order: issuedAt"
	Message      string    // got what, wanted what, what to do next
	At           time.Time
	Repository   string // where to report; empty when no commit can be trusted
	RepositoryID int64  // of Repository
	Commit       string
	HeadCommit   string // of its pull request, as the intent says
	PullRequest  int    // 0: none
	RunID        int64
	Reported     []Way // that have told of it, or never can
}
