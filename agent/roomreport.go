package agent

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// parked is what p waits with, as a release that is told of; the zero value if there is
// nothing to tell. What made room was told of when it did, and of what is being made its
// release tells.
func (p Preview) parked() Release {
	if p.Waiting == nil || p.Waiting.Evicted {
		return Release{}
	}
	r := p.Waiting.Release
	r.Line, r.Namespace, r.Parked = p.Line, p.Namespace, true
	r.Status = Status{Phase: Pending, Message: p.Message, Reported: p.Waiting.Reported, ReportedOn: p.Waiting.ReportedOn}
	r.Status.Reach(StepAdmitted, p.Waiting.Since)
	return r
}

// unreportedParked is unreported of what waits; false if r does not.
func (r Release) unreportedParked(way Way) bool { return r.Parked && r.unreported(way) }

// hold is what p waits with, if the way is to tell of that now. What is over in a moment
// needs no word.
func (p Preview) hold(way Way, now time.Time) (Release, bool) {
	r := p.parked()
	return r, r.unreportedParked(way) && p.Phase != PreviewActive && now.Sub(p.Waiting.Since) >= quietTime
}

// heldFor is what waits and of which the comment of the pull request has yet to tell; the
// zero value if nothing does.
func (a *Agent) heldFor(app App, to target, number int) Release {
	for _, p := range app.Previews {
		if r, is := p.hold(WayComment, a.now()); is && r.target(WayComment) == to && r.Source.PullRequest == number {
			return r
		}
	}
	return Release{}
}

// recordParked makes durable what a way shows of what waits.
func (a *Agent) recordParked(ctx context.Context, r Release, reported Reported, shown bool) error {
	_, err := a.Previews.KeepPreview(ctx, r.Line, func(p *Preview) error {
		if reported.Way == WayComment && shown {
			p.Comment = reported.ID
		}
		if p.Waiting == nil || p.Waiting.Release.Intent != r.Intent {
			return nil
		}
		w, s := *p.Waiting, Status{Reported: slices.Clone(p.Waiting.Reported)}
		s.report(reported)
		w.Reported, w.ReportedOn = s.Reported, orElse(w.ReportedOn, r.Status.ReportedOn)
		p.Waiting = &w
		return nil
	})
	if err != nil {
		return fmt.Errorf("recording that it is reported that preview %s waits: %w", r.Line, err)
	}
	return nil
}

// commented reports whether the comment tells of d: also where there was nothing to take
// away, if it has told that something was to come.
func (d Destroy) commented(p Preview) bool { return !d.Nothing || p.Comment != 0 }

// madeRoom has r, which is what remains of was, tell that its preview made room for
// another one, a check that was green too: what it says is no longer so, and the next one
// comes by itself. Nobody waits for the other ways any more.
func (r *Release) madeRoom(was Release) {
	r.Status.Message = roomTitle
	if shown := was.Status.Shown(WayCheck); shown.Phase == Succeeded {
		r.Status.report(shown)
	}
}
