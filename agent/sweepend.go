package agent

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/inhaul/inhaul/intent"
	"github.com/inhaul/inhaul/spec"
)

// ownEnd begins the name of an end that the agent decides by itself. No digest begins
// so: nothing that looks for an intent finds it, and nothing is published beside it.
const ownEnd = "sweep:"

// endPreview makes durable that the agent itself ends the preview of line, for the
// given reason: no intent asks for it. One that is not there, or is ending already,
// is left as it is. What is deployed to it later makes it anew.
func (a *Agent) endPreview(ctx context.Context, line Line, reason EndReason) error {
	return a.end(ctx, line, End{Reason: reason})
}

// end is endPreview, unless something was deployed since e was decided.
func (a *Agent) end(ctx context.Context, line Line, e End) error {
	ended, releases := false, a.Reader.Releases(line)
	p, err := a.Previews.KeepPreview(ctx, line, func(p *Preview) error {
		switch {
		case !e.stands(*p):
		case p.Phase == PreviewActive:
			ended = true
			p.stopWaiting(a.now(), e.Reason.words()) // it was coming in again
			p.takeAway(e.destroy(*p, releases, a.now()), releases)
		case p.Waiting != nil && e.standsWaiting(*p):
			ended = true
			p.giveUp(e.destroy(*p, []Release{p.Waiting.Release}, a.now()))
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("recording the end of preview %s: %w", line, err)
	}
	if !ended {
		return nil
	}
	a.log.Info("preview ends", "environment", line.Environment, "name", line.App, "repository", p.Repository, "namespace", p.Namespace,
		"phase", p.Phase, "reason", e.Reason)
	a.lines.wake(line, a.overtaken(line))
	a.wakePreviewReports(p)
	return nil
}

// stands reports whether e was decided of p as it is: after a push, or when it was made
// anew, somebody has to look again.
func (e End) stands(p Preview) bool {
	return e.Preview.Line == Line{} || e.Preview.CreatedAt.Equal(p.CreatedAt) && e.Preview.LastPushAt.Equal(p.LastPushAt)
}

// destroy is e as the record of p has it. It is told where the newest of releases was.
func (e End) destroy(p Preview, releases []Release, now time.Time) Destroy {
	number, _ := spec.PreviewNumber(p.Line.Environment)
	d := Destroy{
		Reason: e.Reason, Intent: ownEnd + now.Format(time.RFC3339Nano), At: now, IssuedAt: now,
		Source: intent.Source{Repository: p.Repository, RepositoryID: p.RepositoryID, PullRequest: number},
	}
	if n := len(releases); n > 0 {
		d.Source, d.ReportedOn = releases[n-1].Source, releases[n-1].Status.ReportedOn
		d.Source.PullRequest = number
	}
	if e.Reason == EndUnwanted { // what is signed later knows that the label is off again
		d.IssuedAt = e.ClosedAt
	}
	if e.Reason == EndClosed { // by GitHub's clock, which events are told by too
		d.IssuedAt = later(e.ClosedAt, p.LastPushAt)
	}
	return d
}

// takeAway notes that d was decided of p, which is there and has those releases: they
// are known for good, for nothing else will tell of them.
func (p *Preview) takeAway(d Destroy, releases []Release) {
	p.Phase = PreviewDestroying
	p.passOn(d, releases)
	p.Marks.Current, p.Marks.LastRollbackAt, p.Marks.LastRollbackBy = 0, time.Time{}, ""
	p.add(d)
}

// passOn keeps of releases, which go, what ordering has to know.
func (p *Preview) passOn(d Destroy, releases []Release) {
	for _, r := range releases {
		p.Marks = p.Marks.advance(r.Source, r.IssuedAt, r.Number, false, "")
		p.settle(d.At, Decided{Intent: r.Intent, IssuedAt: r.IssuedAt})
	}
}

// add keeps d. Beyond the bound one goes first of which all is told.
func (p *Preview) add(d Destroy) {
	p.Destroys = append(slices.Clone(p.Destroys), d)
	for len(p.Destroys) > maxDestroys {
		i := max(0, slices.IndexFunc(p.Destroys, func(old Destroy) bool { return !old.DoneAt.IsZero() && len(old.Reported) > 0 }))
		p.Destroys = slices.Delete(p.Destroys, i, i+1)
	}
}

// own reports whether the agent decided d by itself. No workflow waits for an answer:
// the comment tells of it, and deployments end. There is no check run, status or
// receipt of it, for they answer an intent, and the last deploy went as its own says.
func (d Destroy) own() bool { return d.Reason != EndAsked }

// why is the reason of the end of p, in words for people.
func (p Preview) why() string {
	reason := EndAsked
	if n := len(p.Destroys); n > 0 {
		reason = p.Destroys[n-1].Reason
	}
	return reason.words()
}

// words is the reason for people; a sentence without its beginning and its end.
func (r EndReason) words() string {
	switch r {
	case EndClosed:
		return "the pull request is closed, as GitHub says; no event told so"
	case EndUnwanted:
		return "the pull request has the label " + spec.NoPreviewLabel + ", as GitHub says; no event told so"
	case EndGone:
		return "its repository, its app or its namespace is gone"
	case EndIdle:
		return "nothing was pushed for as long as previews are kept here"
	case EndExpired:
		return "it was as old as previews get here"
	case EndRoom:
		return "it made room for another preview"
	case EndAsked:
	}
	return "the pull request was closed or wants no preview"
}

// next is what brings a preview back that ended for the reason; empty if that is no
// question.
func (r EndReason) next() string {
	switch r {
	case EndIdle, EndExpired, EndGone:
		return "push to the pull request, or run its newest workflow run again, to have it made anew"
	case EndUnwanted:
		return "take the label off: that, or the next push, makes the preview anew"
	case EndClosed:
		return "if the pull request is opened again, that or the next push to it makes the preview anew"
	case EndRoom:
		return roomNext
	case EndAsked:
	}
	return ""
}

// closedAt is when GitHub says that the pull request of p was closed, if that is what
// ended it and no intent told so: what happened before is older than the end. Zero
// otherwise.
func (p Preview) closedAt() time.Time {
	if n := len(p.Destroys); n > 0 && p.Destroys[n-1].Reason == EndClosed {
		return p.Destroys[n-1].IssuedAt
	}
	return time.Time{}
}
