package agent

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/inhaul/inhaul/intent"
	"github.com/inhaul/inhaul/spec"
)

// PreviewPolicy is what the platform owner allows of previews of pull requests.
// In its templates "{app}" stands for the app's name, "{group}" for that of the
// group and "{number}" for that of the pull request.
type PreviewPolicy struct {
	Namespace string // template of the Kubernetes namespace; empty: see namespace
	Host      string // template of the host name of the public services; empty: none is reached from outside
	URL       string // template of where a preview answers; empty: https:// and the host
	Routing   Routing
	Quota     Quota
	Max       int // previews of the app at the same time
	Drift     DriftPolicy

	Group           string        // of the apps that share a namespace; empty: none does
	IdleTTL         time.Duration // after the last push; 0: forever
	TTL             time.Duration // after it was made; 0: forever
	SleepAfter      time.Duration // after the last activity; 0: never
	KeepLabel       string        // of a pull request whose preview neither ends by time nor makes room; empty: none
	WakeLabel       string        // of a pull request whose preview is kept awake; empty: none
	TeardownTimeout time.Duration
	Postgres        *DatabaseClass // nil: there are none
	Redis           *DatabaseClass // nil: there are none
	Clone           *CloneHook     // nil: databases are empty at first
	Forks           *ForkPolicy    // nil: there is no such class
	EgressOpen      bool           // pods may connect to private addresses
	EgressAllow     []string       // address ranges, although they are private
}

// ForkPolicy is what the platform owner allows of previews of code that comes from a
// fork, by a branch of the repository that somebody made of it.
type ForkPolicy struct {
	Heads   []string // patterns of such branches
	Quota   Quota
	IdleTTL time.Duration // after the last push; 0: forever
	TTL     time.Duration // after it was made; 0: forever
}

// Of is the policy as it holds for p: one of a fork's code has less than others.
func (p PreviewPolicy) Of(preview Preview) PreviewPolicy {
	if preview.Fork && p.Forks != nil {
		p.Quota, p.IdleTTL, p.TTL = p.Forks.Quota, p.Forks.IdleTTL, p.Forks.TTL
	}
	return p
}

// DatabaseClass is what databases of one kind are made of.
type DatabaseClass struct {
	Image        string // template; "{version}" stands for what the app asks for
	Version      string // where the app asks for none
	CPU          string // Kubernetes quantity
	Memory       string // Kubernetes quantity
	Storage      string // Kubernetes quantity; empty: the data goes with the pod
	StorageClass string // empty: the cluster's default
}

// CloneHook is a command that fills a new database from another one.
type CloneHook struct {
	Namespace string // where it runs, and where Source is
	Image     string
	Command   []string
	Source    string // Secret with the key "url"
	Timeout   time.Duration
}

// Quota is what all pods of a preview may request together.
type Quota struct {
	CPU    string // Kubernetes quantity, "4"
	Memory string // Kubernetes quantity, "8Gi"; of limits too
	Pods   int
}

// PreviewPhase is how far a preview is.
type PreviewPhase string

// The phases of a preview. One that is Destroyed and whose pull request is opened
// again becomes Active again. They are stored.
const (
	PreviewActive     PreviewPhase = "Active"
	PreviewDestroying PreviewPhase = "Destroying" // its namespace is being deleted
	PreviewWaiting    PreviewPhase = "Waiting"    // there is nothing of it yet, or any more: it waits for room
	PreviewDestroyed  PreviewPhase = "Destroyed"  // there is nothing of it but this record
)

// Preview is the durable record of the environment of one pull request. It
// outlives its namespace: what ordering has to know, and what is yet to be
// reported, is here.
type Preview struct {
	Line         Line // its environment is "pr-N"
	UID          string
	Repository   string // owner/name on GitHub
	RepositoryID int64
	Namespace    string // "" until something was deployed
	Group        string // of the apps that share the namespace, as it was when it was made; empty: it is the app's alone
	Owner        string // UID of the record that the namespace was made for; empty: this one, or none yet

	Phase       PreviewPhase // "" until something was admitted
	Message     string       // for people: what it waits for
	CreatedAt   time.Time    // when it was made, or made anew
	LastPushAt  time.Time    // of the newest event that was deployed
	DestroyedAt time.Time

	Fork       bool      // it runs code that comes from a fork; see PreviewPolicy.Of
	AsleepAt   time.Time // zero: it is awake
	Turning    bool      // the cluster has yet to be brought in step with AsleepAt
	ActiveAt   time.Time // when it was last known to be used
	WakeAsked  time.Time // when somebody asked in the cluster to have it awake; theirs to write
	Labels     []string  // of the pull request, those that mean something here, as last seen
	LookedAt   time.Time // when GitHub last told whether the pull request is open
	SeededAt   time.Time // zero until its seed command has ended well
	TornDownAt time.Time // zero until its teardown command has ended or was given up
	Waiting    *Parked   // what is deployed as soon as there is room; nil: nothing

	Marks    LineMarks // of its line
	Decided  []Decided // releases and destroys whose own record is gone or is none, newest last, bounded
	Destroys []Destroy // newest last, bounded
	Remains  []Release // what is yet to be told of releases that went with the namespace; see Release.remains
	Comment  int64     // id of the pull request's comment; 0 until known
	Version  string    // opaque
}

// Decided is an intent that was admitted, and that no release tells of any more.
type Decided struct {
	Intent   string // digest
	IssuedAt time.Time
}

// Parked is an admitted release of a preview for which there is no room.
type Parked struct {
	Since      time.Time
	Evicted    bool    // it ran before, and made room for another one
	Release    Release // what is to be deployed; its number is given when it is
	Reported   []Reported
	ReportedOn string
}

// EndReason is why a preview ends without an intent that asks for it.
type EndReason string

// The reasons. They are stored.
const (
	EndAsked    EndReason = ""         // an intent asks for it
	EndClosed   EndReason = "Closed"   // the pull request is closed or merged, as GitHub says
	EndGone     EndReason = "Gone"     // the repository is
	EndUnwanted EndReason = "Unwanted" // the pull request wants no preview, as GitHub says
	EndIdle     EndReason = "Idle"     // nothing was pushed for as long as the platform owner allows
	EndExpired  EndReason = "Expired"  // it is as old as the platform owner allows
	EndRoom     EndReason = "Room"     // it made room for another one
)

// Destroy is one admitted intent to take a preview away, or the agent's own decision.
type Destroy struct {
	Reason     EndReason
	Intent     string // digest; without an intent a name that none has
	Rule       string // policy rule that allowed it
	Source     intent.Source
	IssuedAt   time.Time
	Evidence   intent.Evidence
	At         time.Time  // when it was admitted
	DoneAt     time.Time  // zero until everything is gone
	Nothing    bool       // there was nothing to take away
	Teardown   *Cause     // why the teardown command did not end well; nil: it did, or there was none
	Kept       bool       // the namespace is not marked as the preview's any more, and was left alone
	Reported   []Reported // by way
	ReportedOn string     // as in Status
}

// The bounds of a preview's record.
const (
	maxDecided  = 200 // as many as its schema holds
	maxDestroys = 10  // as many as its schema holds
	maxRemains  = 200 // as many as its schema holds
)

// previewEnvironment is the name that the environment of a pull request has.
func previewEnvironment(number int) string { return "pr-" + strconv.Itoa(number) }

// The templates of namespaces where the platform owner gives none.
const (
	defaultNamespace      = "{app}-pr-{number}"
	defaultGroupNamespace = "{group}-pr-{number}"
)

// namespace is the template of the Kubernetes namespace.
func (p PreviewPolicy) namespace() string {
	switch {
	case p.Namespace != "":
		return p.Namespace
	case p.Group != "":
		return defaultGroupNamespace
	}
	return defaultNamespace
}

// fill puts an app and a number into a template.
func (p PreviewPolicy) fill(template, app string, number int) string {
	return strings.NewReplacer("{app}", app, "{group}", p.Group, "{number}", strconv.Itoa(number)).Replace(template)
}

// environment is where pull request number of app is previewed.
func (p PreviewPolicy) environment(app string, number int) Environment {
	e := Environment{
		Name: previewEnvironment(number), PullRequest: number, Namespace: p.fill(p.namespace(), app, number),
		Host: p.fill(p.Host, app, number), URL: p.fill(p.URL, app, number), Routing: p.Routing, Drift: p.Drift,
	}
	if e.URL == "" && e.Host != "" {
		e.URL = "https://" + e.Host
	}
	return e
}

// With is the app together with those of previews that are its own: their
// environments beside the declared ones while they are there, and their marks for
// as long as their record is.
func (a App) With(previews []Preview) App {
	a.Environments, a.Status.Lines = slices.Clone(a.Environments), slices.Clone(a.Status.Lines)
	for _, p := range previews {
		number, _ := spec.PreviewNumber(p.Line.Environment)
		if p.Line.App != a.Name || number == 0 || a.Declares(p.Line.Environment) {
			continue
		}
		a.Previews = append(a.Previews, p)
		marks := p.Marks
		marks.Environment, marks.Workflows = p.Line.Environment, maps.Clone(marks.Workflows)
		a.Status.Lines = append(a.Status.Lines, marks)
		if p.Phase != PreviewActive && p.Phase != PreviewDestroying {
			continue
		}
		policy := PreviewPolicy{}
		if a.PreviewPolicy != nil {
			policy = *a.PreviewPolicy
		}
		e := policy.environment(a.Name, number)
		e.Namespace = p.Namespace // the pattern may have changed since
		a.Environments = append(a.Environments, e)
	}
	return a
}

// Declares reports whether the platform owner's word names the environment.
func (a App) Declares(environment string) bool {
	return slices.ContainsFunc(a.Environments, func(e Environment) bool { return e.Name == environment && e.PullRequest == 0 })
}

// Part takes the marks of previews out of s, which is the status of a, and returns
// the previews whose marks have changed, with these. What it leaves is the App's
// own. Marks of a preview that has no record any more are nobody's.
func (a App) Part(s *AppStatus) []Preview {
	var changed []Preview
	s.Lines = slices.DeleteFunc(s.Lines, func(m LineMarks) bool {
		if _, is := spec.PreviewNumber(m.Environment); !is || a.Declares(m.Environment) {
			return false
		}
		if p, found := a.preview(m.Environment); found && !p.Marks.equal(m) {
			p.Marks = m
			changed = append(changed, p)
		}
		return true
	})
	return changed
}

// preview is the record of the preview that an environment is.
func (a App) preview(environment string) (Preview, bool) {
	i := slices.IndexFunc(a.Previews, func(p Preview) bool { return p.Line.Environment == environment })
	if i < 0 {
		return Preview{}, false
	}
	return a.Previews[i], true
}

// equal reports whether two lines have the same marks; that of the name aside.
func (m LineMarks) equal(other LineMarks) bool {
	return m.LastNumber == other.LastNumber && m.LastIssuedAt.Equal(other.LastIssuedAt) && m.LastRunID == other.LastRunID &&
		maps.Equal(m.Workflows, other.Workflows) && m.LastRollbackAt.Equal(other.LastRollbackAt) &&
		m.LastRollbackBy == other.LastRollbackBy && m.Current == other.Current && m.ForgottenBefore.Equal(other.ForgottenBefore)
}

// Raise puts marks in the place of those of p, of which none is lowered: another
// release may have been admitted since marks were read, and a preview that has ended
// has nothing that serves.
func (p *Preview) Raise(marks LineMarks) {
	old := p.Marks
	if marks.LastNumber < old.LastNumber || marks.LastIssuedAt.Before(old.LastIssuedAt) {
		old.ForgottenBefore = later(old.ForgottenBefore, marks.ForgottenBefore)
		p.Marks = old
		return
	}
	p.Marks = marks
	p.Marks.ForgottenBefore = later(marks.ForgottenBefore, old.ForgottenBefore)
	p.Marks.LastRunID = max(marks.LastRunID, old.LastRunID)
	p.Marks.Workflows = maps.Clone(marks.Workflows)
	for workflow, run := range old.Workflows {
		if p.Marks.Workflows == nil {
			p.Marks.Workflows = map[string]int64{}
		}
		p.Marks.Workflows[workflow] = max(run, p.Marks.Workflows[workflow])
	}
	if p.Phase != PreviewActive {
		p.Marks.Current = 0
	}
}

// settle notes that intents are decided, now that no other record tells of them. The
// oldest beyond the bound are forgotten, as trimmed releases are.
func (p *Preview) settle(now time.Time, decided ...Decided) {
	p.Decided = slices.Clone(p.Decided)
	for _, d := range decided {
		if !slices.ContainsFunc(p.Decided, func(old Decided) bool { return old.Intent == d.Intent }) {
			p.Decided = append(p.Decided, d)
		}
	}
	slices.SortStableFunc(p.Decided, func(x, y Decided) int { return x.IssuedAt.Compare(y.IssuedAt) })
	expired := now.Add(-intent.MaxValidity - intent.MaxClockSkew) // no news any more
	p.Decided = slices.DeleteFunc(p.Decided, func(d Decided) bool { return d.IssuedAt.Before(expired) })
	for _, d := range p.Decided[:max(0, len(p.Decided)-maxDecided)] {
		p.Marks.ForgottenBefore = later(p.Marks.ForgottenBefore, d.IssuedAt)
	}
	p.Decided = p.Decided[max(0, len(p.Decided)-maxDecided):]
}

// The shapes of what templates give.
var (
	namespaceShape = regexp.MustCompile(`\A[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\z`)
	hostShape      = regexp.MustCompile(`\A` + hostLabel + `(?:\.` + hostLabel + `)+\z`)
)

// Host names are bounded by DNS, numbers by what an intent can name.
const (
	maxHost   = 253
	maxNumber = 9_999_999_999
)

// check says what is wrong with the templates. What holds for the smallest and for
// the largest number holds for all between them.
func (p PreviewPolicy) check(app App) error {
	namespace := p.namespace()
	if !strings.Contains(namespace, "{number}") {
		return fmt.Errorf("previews: namespace %q: want {number} in it, or all pull requests would share it", namespace)
	}
	if p.Group != "" && strings.Contains(namespace, "{app}") {
		return fmt.Errorf("previews: namespace %q: has {app} in it, which the apps of group %q could not share: want {group}, or no template at all", namespace, p.Group)
	}
	if all := namespace + p.Host + p.URL; p.Group == "" && strings.Contains(all, "{group}") {
		return fmt.Errorf("previews: {group} is in a template, and there is no group: say which, or use {app}")
	}
	if p.Host != "" && !strings.Contains(p.Host, "{number}") {
		return fmt.Errorf("previews: host %q: want {number} in it, or all pull requests would share it", p.Host)
	}
	for _, number := range []int{1, maxNumber} {
		e := p.environment(app.Name, number)
		if !namespaceShape.MatchString(e.Namespace) || strings.HasPrefix(e.Namespace, "kube-") {
			return fmt.Errorf("previews: namespace %q: gives %q, want at most 63 lower-case letters, digits and dashes, not beginning with kube-", namespace, e.Namespace)
		}
		if e.Host != "" && (!hostShape.MatchString(e.Host) || len(e.Host) > maxHost) {
			return fmt.Errorf("previews: host %q: gives %q, want a host name in small letters", p.Host, e.Host)
		}
	}
	names := strings.NewReplacer("{app}", app.Name, "{group}", p.Group)
	shape := strings.ReplaceAll(regexp.QuoteMeta(names.Replace(namespace)), regexp.QuoteMeta("{number}"), "[0-9]+")
	taken, err := regexp.Compile(`\A` + shape + `\z`)
	if err != nil {
		return fmt.Errorf("previews: namespace %q: %w", namespace, err)
	}
	for _, e := range app.Environments {
		if e.PullRequest != 0 {
			continue
		}
		if _, is := spec.PreviewNumber(e.Name); is {
			return fmt.Errorf("previews: environment %q is declared: with previews, environments of that name are made from pull requests", e.Name)
		}
		if taken.MatchString(e.Namespace) {
			return fmt.Errorf("previews: namespace %q: could give %q, which is the namespace of environment %q", namespace, e.Namespace, e.Name)
		}
	}
	return nil
}

// noPreviews is the log where none is kept.
type noPreviews struct{}

func (noPreviews) Preview(Line) (Preview, bool) { return Preview{}, false }
func (noPreviews) Previews() []Preview          { return nil }
