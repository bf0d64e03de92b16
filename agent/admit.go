package agent

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/inhaul/inhaul/intent"
)

// history is what the line remembers: the App's marks, made whole by the
// releases in case the agent died between writing one and the other.
func history(app App, line Line, releases []Release) History {
	h := History{Marks: LineMarks{Environment: line.Environment}, Refused: map[string]bool{}}
	for _, marks := range app.Status.Lines {
		if marks.Environment == line.Environment {
			h.Marks = marks
		}
	}
	for _, r := range app.Status.Refusals {
		h.Refused[r.Intent] = true
	}
	gone := false // its namespace is, or is being deleted
	if p, found := app.preview(line.Environment); found {
		gone = p.Phase == PreviewDestroying || p.Phase == PreviewDestroyed || p.Phase == PreviewWaiting
		h.Closed = gone && p.Waiting == nil
		h.ClosedAt = p.closedAt()
		h.Decided = map[string]bool{}
		for _, d := range p.Decided {
			h.Decided[d.Intent] = true
		}
	}
	for _, r := range releases {
		if gone {
			break
		}
		commit := r.deployed(releases)
		h.Marks = h.Marks.advance(r.Source, r.IssuedAt, r.Number, r.Reason == ReasonRollback, commit)
		h.Admissions = append(h.Admissions, r.admission(commit))
	}
	return h
}

// admission is r, which runs the code of commit, as ordering compares it.
func (r Release) admission(commit string) Admission {
	return Admission{
		Number: r.Number, Digest: r.Intent, TokenID: r.Evidence.TokenID, Commit: commit, Image: r.Image,
		RunID: r.Source.RunID, Attempt: r.Source.RunAttempt, Reason: r.Reason, Restore: r.Restore,
		Good: r.Status.Phase == Succeeded, Left: r.Status.Phase == Failed, UnderWay: !r.Status.Phase.Terminal(), VerdictAt: r.Status.At(StepVerdict),
	}
}

// admit makes a release durable, then the marks. If the agent dies in between,
// history finds the release and the marks follow with the next admission.
func (a *Agent) admit(ctx context.Context, grant Grant, d Decision, h History, v intent.Verified, releases []Release, noticed, verified time.Time) error {
	p, r := v.Statement().Predicate, newRelease(grant, d, h, v, releases)
	r.Status.Reach(StepNoticed, noticed)
	r.Status.Reach(StepVerified, verified)
	r.Status.Reach(StepAdmitted, a.now())
	if grant.Environment.PullRequest != 0 {
		if app, found := a.app(p.App); found && !app.hasRoom(r) {
			return a.park(ctx, r)
		}
		if err := a.openPreview(ctx, r); err != nil {
			return err
		}
	}
	if _, err := a.Releases.CreateRelease(ctx, r); err != nil {
		return fmt.Errorf("creating release %d of %s: %w", r.Number, r.Line, err)
	}
	a.Meter.Moved(r, Status{})
	a.log.Info("release admitted", "environment", r.Line.Environment, "name", r.Line.App, "release", r.Number,
		"commit", r.Source.Commit, "image", r.Image, "reason", r.Reason)
	marks := h.Marks.Advance(v, r.Number, d.Outcome, r.deployed(releases))
	return a.Apps.UpdateApp(ctx, p.App, func(s *AppStatus) { s.remember(marks) })
}

// newRelease is what v asks for, as the next release of its line.
func newRelease(grant Grant, d Decision, h History, v intent.Verified, releases []Release) Release {
	p := v.Statement().Predicate
	r := Release{
		Line:      Line{App: p.App, Environment: p.Environment},
		Namespace: grant.Environment.Namespace, Number: h.Marks.LastNumber + 1,
		Intent: v.Digest(), Kind: p.Kind, Reason: reasonOf(d), Note: d.Message, Rule: grant.Rule,
		Image: v.Statement().Image(), Source: p.Source, IssuedAt: p.IssuedAt, Evidence: v.Evidence(),
	}
	if p.Spec != nil {
		r.App, r.Config = *p.Spec, p.Config
	}
	for _, old := range releases {
		if d.Restore != 0 && old.Number == d.Restore {
			r.bringBack(old, releases)
		}
	}
	r.Status.Phase = Pending
	return r
}

func reasonOf(d Decision) Reason {
	switch {
	case d.Forced:
		return ReasonForced
	case d.Outcome == OutcomeRollback && !d.Unproven:
		return ReasonRollback
	case d.Outcome == OutcomeRollback, d.Outcome == OutcomeRedeploy:
		return ReasonRedeploy
	}
	return ReasonNewest
}

// remember puts marks in the place of the line's older ones.
func (s *AppStatus) remember(marks LineMarks) {
	i := slices.IndexFunc(s.Lines, func(m LineMarks) bool { return m.Environment == marks.Environment })
	if i < 0 {
		s.Lines = append(s.Lines, marks)
		return
	}
	// Written by others since marks were read:
	marks.ForgottenBefore, marks.Current = later(marks.ForgottenBefore, s.Lines[i].ForgottenBefore), s.Lines[i].Current
	if marks.LastNumber >= s.Lines[i].LastNumber {
		s.Lines[i] = marks
	}
}
