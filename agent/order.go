package agent

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/inhaul/inhaul/intent"
)

// Outcome is what ordering says of a verified intent.
type Outcome string

// The outcomes. OutcomeKnown asks for nothing: the intent was decided before.
const (
	OutcomeAdmit      Outcome = "Admit"
	OutcomeRollback   Outcome = "Rollback"
	OutcomeRedeploy   Outcome = "Redeploy"
	OutcomeSuperseded Outcome = "Superseded"
	OutcomeDenied     Outcome = "Denied"
	OutcomeKnown      Outcome = "Known"
)

// Admits reports whether the outcome makes a release.
func (o Outcome) Admits() bool {
	return o == OutcomeAdmit || o == OutcomeRollback || o == OutcomeRedeploy
}

// Decision is an outcome and the rule it came from.
type Decision struct {
	Outcome Outcome
	Rule    string // "order: run number"; empty for a plain admission
	Message string // for people: got what, what stands, what to do next
	By      string // commit of the release that supersedes; OutcomeSuperseded only
	Restore int    // release to bring back; kind rollback only
	Forced  bool   // ordering said superseded, and force overruled it
	// Unproven says of the rollback to a run that no release of it has succeeded:
	// nothing of it may be taken for good.
	Unproven bool
}

// Admission is one admitted intent as ordering remembers it.
type Admission struct {
	Number  int
	Digest  string
	TokenID string
	Commit  string // whose code it runs
	Image   string
	RunID   int64
	Attempt int64
	Reason  Reason
	Restore int  // number of the release that it brings back, 0 for none
	Good    bool // the release succeeded at some time

	Left      bool      // it failed, and no good release was put back
	UnderWay  bool      // nothing is decided yet
	VerdictAt time.Time // zero without a verdict
}

// History is what a line remembers: high-water marks, which outlive trimmed
// releases, and the admissions of the releases that are kept, oldest first.
type History struct {
	Marks      LineMarks
	Admissions []Admission
	Refused    map[string]bool // digests refused before
	Decided    map[string]bool // digests admitted before, of which no admission tells
	Closed     bool            // a preview's: a destroy was the last that was admitted
	ClosedAt   time.Time       // of the event that none told of; zero if one did
}

// Order decides where a verified intent stands in its line. It is pure, and it
// does not look at policy but for mayForce: whether policy lets this intent
// overrule ordering. The rules, first match wins:
//
//  1. a digest decided before: known
//  2. same run and attempt, or same token, for another digest: denied
//  3. not issued after the last admitted one: superseded, unless it is the first
//     attempt of a run newer than every admitted one (clocks of runners differ,
//     run ids do not)
//  4. kind rollback: rollback to the release that it names, of those that
//     succeeded and are kept, else denied; see History.target
//  5. a later attempt of a run that has a release here: redeploy of the newest
//     run, else rollback
//  6. a later attempt of an older run that has none: superseded
//  7. a run older than the newest admitted one: superseded
//  8. an event from before the last rollback: superseded by that rollback; and one
//     from before its pull request was closed, where GitHub itself had to be asked
//
// force turns 6, 7 and 8 into an admission.
func Order(h History, v intent.Verified, mayForce bool) Decision {
	p := v.Statement().Predicate
	if decision, decided := h.repeated(v); decided {
		return decision
	}
	if !p.IssuedAt.After(h.Marks.LastIssuedAt) && !h.newerRun(p.Source) {
		return h.superseded("order: issuedAt", fmt.Sprintf("issued at %s, and an intent issued at %s is admitted already",
			stamp(p.IssuedAt), stamp(h.Marks.LastIssuedAt)))
	}
	if p.Kind == intent.Rollback {
		return h.rollback(p)
	}
	if p.Source.RunAttempt > 1 {
		if a, ok := h.ofRun(p.Source.RunID); ok {
			if p.Source.RunID >= h.Marks.LastRunID {
				return Decision{Outcome: OutcomeRedeploy}
			}
			return Decision{Outcome: OutcomeRollback, Unproven: !h.good(p.Source.RunID), Message: fmt.Sprintf("run %d again, which was release %d", p.Source.RunID, a.Number)}
		}
	}
	decision := h.late(p)
	if decision.Outcome == OutcomeSuperseded && p.Force {
		if !mayForce {
			decision.Message += "; force is set, and no policy rule with allowForce matches"
			return decision
		}
		return Decision{Outcome: OutcomeAdmit, Rule: decision.Rule, Forced: true, Message: "forced, although " + decision.Message}
	}
	return decision
}

// good reports whether a release of the run has succeeded here.
func (h History) good(run int64) bool {
	return slices.ContainsFunc(h.Admissions, func(a Admission) bool { return a.RunID == run && a.Good })
}

// repeated is rules 1 and 2.
func (h History) repeated(v intent.Verified) (Decision, bool) {
	source := v.Statement().Predicate.Source
	if h.Refused[v.Digest()] || h.Decided[v.Digest()] {
		return Decision{Outcome: OutcomeKnown}, true
	}
	for _, a := range h.Admissions {
		if a.Digest == v.Digest() {
			return Decision{Outcome: OutcomeKnown}, true
		}
	}
	for _, a := range h.Admissions {
		sameRun := a.RunID == source.RunID && a.Attempt == source.RunAttempt
		sameToken := a.TokenID != "" && a.TokenID == v.Evidence().TokenID
		if sameRun || sameToken {
			return Decision{
				Outcome: OutcomeDenied, Rule: "order: one intent per run attempt",
				Message: fmt.Sprintf("attempt %d of run %d was release %d with another content; re-run the workflow instead of publishing twice",
					source.RunAttempt, source.RunID, a.Number),
			}, true
		}
	}
	return Decision{}, false
}

// newerRun reports whether a run is newer than every admitted one by the numbers
// that GitHub gave them.
func (h History) newerRun(s intent.Source) bool {
	return s.RunAttempt == 1 && s.RunID > h.Marks.LastRunID && s.RunNumber > h.Marks.Workflows[WorkflowPath(s.WorkflowRef)]
}

// late is rules 6 to 8: an event that something newer has overtaken.
func (h History) late(p intent.Predicate) Decision {
	run, again := p.Source, p.Source.RunAttempt > 1
	highest := h.Marks.Workflows[WorkflowPath(run.WorkflowRef)]
	switch {
	case again && (run.RunNumber < highest || run.RunID < h.Marks.LastRunID):
		return h.superseded("order: re-run", fmt.Sprintf(
			"run %d is older than what is live and never had a release here that is still kept; to deploy it all the same set the input force: true (policy has to allow it)", run.RunID))
	case run.RunNumber < highest:
		return h.superseded("order: run number", fmt.Sprintf("run number %d of the workflow, and number %d is admitted already", run.RunNumber, highest))
	case !again && run.RunID <= h.Marks.LastRunID:
		return h.superseded("order: run id", fmt.Sprintf("run %d, and run %d is admitted already", run.RunID, h.Marks.LastRunID))
	case run.EventAt.Before(h.Marks.LastRollbackAt.Truncate(time.Second)): // GitHub tells the time of a push in whole seconds
		d := h.superseded("order: a rollback holds", fmt.Sprintf(
			"the event is of %s, and a rollback of %s holds until something newer is pushed", stamp(run.EventAt), stamp(h.Marks.LastRollbackAt)))
		d.By = h.Marks.LastRollbackBy
		return d
	case h.Closed && run.EventAt.Before(h.ClosedAt):
		return h.superseded("order: closed", fmt.Sprintf("the event is of %s, and the pull request was closed at %s", stamp(run.EventAt), stamp(h.ClosedAt)))
	}
	return Decision{Outcome: OutcomeAdmit}
}

func (h History) superseded(rule, message string) Decision {
	d := Decision{Outcome: OutcomeSuperseded, Rule: rule, Message: message}
	if h.Closed {
		d.Rule, d.Message = "order: closed", closedMessage(message)
		return d
	}
	if n := len(h.Admissions); n > 0 {
		d.By = h.Admissions[n-1].Commit
	}
	return d
}

func (h History) ofRun(runID int64) (Admission, bool) {
	for _, a := range slices.Backward(h.Admissions) {
		if a.RunID == runID {
			return a, true
		}
	}
	return Admission{}, false
}

// Advance returns the marks after v was admitted as release number with the
// given outcome. It never lowers a mark, so applying it again changes nothing.
func (m LineMarks) Advance(v intent.Verified, number int, outcome Outcome, commit string) LineMarks {
	p := v.Statement().Predicate
	return m.advance(p.Source, p.IssuedAt, number, outcome == OutcomeRollback, commit)
}

func (m LineMarks) advance(s intent.Source, issuedAt time.Time, number int, rollback bool, commit string) LineMarks {
	next := m
	next.LastNumber = max(m.LastNumber, number)
	next.LastRunID = max(m.LastRunID, s.RunID)
	if issuedAt.After(m.LastIssuedAt) {
		next.LastIssuedAt = issuedAt
	}
	if s.RunID != 0 { // no run asked for a rollback in the cluster
		next.Workflows = map[string]int64{WorkflowPath(s.WorkflowRef): s.RunNumber}
		for workflow, run := range m.Workflows {
			next.Workflows[workflow] = max(run, next.Workflows[workflow])
		}
	}
	if rollback && !issuedAt.Before(m.LastRollbackAt) { // of two within a second, the later release
		next.LastRollbackAt, next.LastRollbackBy = issuedAt, commit
	}
	return next
}

// WorkflowPath is a workflow_ref without its @ref: what stays the same over the
// branches of a repository.
func WorkflowPath(workflowRef string) string {
	path, _, _ := strings.Cut(workflowRef, "@")
	return path
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05.000 UTC") }
