package agent

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/inhaul/inhaul/intent"
)

// Request is a rollback that somebody asked for in the cluster itself, where
// Kubernetes decides who may.
type Request struct {
	Line      Line
	Namespace string // where it lies, and where its author may roll back
	Name      string
	UID       string    // given by the API server, never twice
	To        string    // as ParseTarget reads it
	By        string    // who asks, as the API server knows them
	Reason    string    // for people; may be empty
	CreatedAt time.Time // by the API server's clock, in whole seconds
	Answer    Answer
	Version   string // opaque; for optimistic concurrency
}

// Answer is what became of a request; the zero value is that nobody has looked
// at it.
type Answer struct {
	Phase   RequestPhase
	Release int    // number of the release that came of it; RequestAdmitted only
	Restore int    // number of the release that is brought back; RequestAdmitted only
	Message string // for people
	At      time.Time
}

// RequestPhase is how far a request has come.
type RequestPhase string

// The phases of a request. How its release goes is the release's to tell.
const (
	RequestPending  RequestPhase = "Pending"
	RequestAdmitted RequestPhase = "Admitted" // there is a release of it
	RequestRefused  RequestPhase = "Refused"  // there never will be one
)

const (
	// requestAge is how old a request may be when it is taken: whoever asked during
	// an incident does not expect it to happen long after.
	requestAge = time.Hour

	// What the record of a release says that was asked for in the cluster.
	requestScheme = "kubernetes"
	requestRule   = "Kubernetes: create rollbacks.inhaul.dev"
	requestEvent  = "rollback"
)

// intent stands for an intent's digest: the same request makes one release at
// most, however often it is looked at.
func (r Request) intent() string {
	sum := sha256.Sum256([]byte("inhaul.dev/rollback\n" + r.UID))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// takeRequests is one look at what is asked for on a line: every request becomes
// a release or a refusal, oldest first. It needs neither the registry nor GitHub,
// and waits for nobody who does.
func (a *Agent) takeRequests(ctx context.Context, line Line) error {
	var failures []error
	for _, r := range a.Requests.Requests() {
		if r.Line != line {
			continue
		}
		if err := a.takeRequest(ctx, r); err != nil {
			failures = append(failures, fmt.Errorf("taking rollback %s in namespace %s: %w", r.Name, r.Namespace, err))
		}
	}
	return errors.Join(failures...)
}

// takeRequest makes a request's release durable, then the marks, then the answer.
// If the agent dies in between, the release is found by its intent.
func (a *Agent) takeRequest(ctx context.Context, r Request) error {
	noticed := a.now()
	app, found := a.app(r.Line.App)
	if !found {
		return a.refuseRequest(ctx, r, fmt.Errorf("there is no App %q", r.Line.App))
	}
	releases := a.Reader.Releases(r.Line)
	release, found := r.of(releases)
	if !found {
		var err error
		if release, err = r.release(app, releases, noticed); err != nil {
			return a.refuseRequest(ctx, r, err)
		}
		err = a.Requesters.Vouch(ctx, r)
		if errors.Is(err, ErrUnvouched) {
			return a.refuseRequest(ctx, r, err)
		}
		if err != nil {
			return fmt.Errorf("asking who asked: %w", err)
		}
		release.Status.Reach(StepNoticed, noticed)
		release.Status.Reach(StepVerified, a.now())
		release.Status.Reach(StepAdmitted, a.now())
		_, err = a.Releases.CreateRelease(ctx, release)
		if rejected := (*Rejected)(nil); errors.As(err, &rejected) { // however often it is asked
			return a.refuseRequest(ctx, r, fmt.Errorf("the cluster cannot store the release: %s", rejected.Message))
		}
		if err != nil {
			return fmt.Errorf("creating release %d of %s: %w", release.Number, r.Line, err)
		}
		a.Meter.Moved(release, Status{})
		a.log.Info("release admitted", "environment", r.Line.Environment, "name", r.Line.App, "release", release.Number,
			"commit", release.Source.Commit, "image", release.Image, "reason", release.Reason)
		releases = append(slices.Clone(releases), release)
	}
	marks := history(app, r.Line, releases).Marks
	if err := a.Apps.UpdateApp(ctx, app.Name, func(s *AppStatus) { s.remember(marks) }); err != nil {
		return fmt.Errorf("writing the status of App %s: %w", app.Name, err)
	}
	return a.answer(ctx, r, Answer{
		Phase: RequestAdmitted, Release: release.Number, Restore: release.Restore,
		Message: fmt.Sprintf("Release %d brings back release %d (%s)", release.Number, release.Restore, short(release.Source.Commit)),
	})
}

// of is the release that came of r, if there is one.
func (r Request) of(releases []Release) (Release, bool) {
	i := slices.IndexFunc(releases, func(old Release) bool { return old.Intent == r.intent() })
	if i < 0 {
		return Release{}, false
	}
	return releases[i], true
}

// release is what r asks for as a release of its line, whose kept releases are
// given. The error says why there is none, for people; it is final. That r lies
// in the environment's namespace is all that its author's right is worth.
func (r Request) release(app App, releases []Release, now time.Time) (Release, error) {
	i := slices.IndexFunc(app.Environments, func(e Environment) bool { return e.Name == r.Line.Environment && e.Namespace == r.Namespace })
	if i < 0 {
		return Release{}, fmt.Errorf("App %q has no environment %q in namespace %s; ask in the namespace of the environment", app.Name, r.Line.Environment, r.Namespace)
	}
	if age := now.Sub(r.CreatedAt); age > requestAge {
		return Release{}, fmt.Errorf("it was asked for %s ago, and nobody took it within %s; ask again if it is still meant", age.Round(time.Second), requestAge)
	}
	if n := len(releases); n > 0 && releases[n-1].Source.EventAt.After(r.CreatedAt.Add(intent.MaxClockSkew)) {
		return Release{}, fmt.Errorf("release %d is of something that happened after it was asked for; ask again to undo that too", releases[n-1].Number)
	}
	target, err := ParseTarget(r.To)
	if err != nil {
		return Release{}, err
	}
	target.At = r.CreatedAt
	past := history(app, r.Line, releases)
	found, err := past.target(target)
	if err != nil {
		return Release{}, err
	}
	old := releases[slices.IndexFunc(releases, func(old Release) bool { return old.Number == found.Number })]
	if len(old.App.Services) == 0 {
		return Release{}, fmt.Errorf("what release %d consists of cannot be read by this version of the agent; name another one", old.Number)
	}
	domains, err := compileDomains(app)
	if err != nil {
		return Release{}, err
	}
	if denied := (Policy{app: app, domains: domains}).judgeRelease(old, app.Environments[i]); denied != nil {
		return Release{}, denied
	}
	release := Release{
		Line: r.Line, Namespace: r.Namespace, Number: past.Marks.LastNumber + 1,
		Intent: r.intent(), Kind: intent.Rollback, Reason: ReasonRollback, Note: r.note(target.explain(found)), Rule: requestRule,
		Source: r.source(old, found.Commit, releases), IssuedAt: r.CreatedAt, Evidence: r.evidence(),
		Status: Status{Phase: Pending},
	}
	release.bringBack(old, releases)
	return release, nil
}

// source is where the code of old, which is of the given commit, comes from: the
// check shows there. No run of a workflow asked, so ordering compares with none.
func (r Request) source(old Release, commit string, releases []Release) intent.Source {
	for _, older := range slices.Backward(releases) {
		if older.Number < old.Number && older.Number == old.Restore {
			old = older
		}
	}
	from := old.Source
	return intent.Source{
		Repository: from.Repository, RepositoryID: from.RepositoryID, RepositoryOwnerID: from.RepositoryOwnerID,
		Ref: from.Ref, Commit: commit, HeadCommit: from.HeadCommit, PullRequest: from.PullRequest,
		Event: requestEvent, EventAt: r.CreatedAt, Actor: r.actor(),
	}
}

// evidence is what the API server vouches for, and what the author says.
func (r Request) evidence() intent.Evidence {
	claims := map[string]string{"user": r.By, "rollback": r.Namespace + "/" + r.Name, "uid": r.UID}
	if r.Reason != "" {
		claims["reason"] = r.Reason
	}
	return intent.Evidence{Scheme: requestScheme, IssuedAt: r.CreatedAt, Claims: claims}
}

// actor is the author as commits' readers are told: of an AWS identity what is
// behind the account, which is not theirs to know.
func (r Request) actor() string {
	if parts := strings.SplitN(r.By, ":", 6); parts[0] == "arn" && len(parts) == 6 {
		return parts[5]
	}
	return r.By
}

// note is the request in one line.
func (r Request) note(why string) string {
	note := fmt.Sprintf("%s, asked for in the cluster by %s", why, r.actor())
	if reason := strings.Join(strings.Fields(r.Reason), " "); reason != "" {
		note += fmt.Sprintf(": %q", reason)
	}
	return note
}

func (a *Agent) refuseRequest(ctx context.Context, r Request, why error) error {
	a.log.Warn("rollback refused", "environment", r.Line.Environment, "name", r.Line.App, "reason", "rollback", "error", why)
	return a.answer(ctx, r, Answer{Phase: RequestRefused, Message: why.Error()})
}

func (a *Agent) answer(ctx context.Context, r Request, answer Answer) error {
	r.Answer, r.Answer.At = answer, a.now()
	if err := a.Requests.Conclude(ctx, r); err != nil {
		return fmt.Errorf("answering: %w", err)
	}
	return nil
}
