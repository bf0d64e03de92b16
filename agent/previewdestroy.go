package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/inhaul/inhaul/intent"
)

const (
	// destroyPatience is when it is told that a namespace does not go. Pods have 30 s
	// to end, and most controllers end what hangs on theirs in seconds.
	destroyPatience = 2 * time.Minute

	// How often a namespace that is ending is looked at: at first for people's sake,
	// later for the API server's.
	firstDestroyLook = 500 * time.Millisecond
	lastDestroyLook  = 15 * time.Second

	// destroyedFor is how long the record of a preview stays after its last word: while
	// an intent could come that is older. Then it has expired.
	destroyedFor = intent.MaxValidity + intent.MaxClockSkew + time.Hour

	// maxPreviewRecords is how many records an app has. Destroyed ones beyond it go
	// before their time, the oldest first; a preview needs a few kilobytes.
	maxPreviewRecords = 1000
)

// openable says whether a release may be made in the environment of a preview now,
// or has to wait until what was there before is gone, or is denied.
func (a App) openable(e Environment, s intent.Source) (waits bool, denied *Denied) {
	if denied := a.taken(e, s); denied != nil {
		return false, denied
	}
	p, _ := a.preview(e.Name)
	return p.Phase == PreviewDestroying && p.Waiting == nil, nil
}

// openPreview makes the record durable of the preview that r, which is about to be
// created, belongs to.
func (a *Agent) openPreview(ctx context.Context, r Release) error {
	app, _ := a.app(r.Line.App) // before the record is kept: it is asked for under no lock
	fork := a.forked(r)
	_, err := a.Previews.KeepPreview(ctx, r.Line, func(p *Preview) error {
		p.overtake(r, a.now())
		switch p.Phase {
		case PreviewDestroying:
			return fmt.Errorf("%w: it is being destroyed", ErrConflict)
		case PreviewDestroyed, PreviewWaiting, "":
			p.Phase, p.CreatedAt, p.DestroyedAt, p.Message = PreviewActive, a.now(), time.Time{}, ""
			p.SeededAt, p.TornDownAt = time.Time{}, time.Time{} // it is made anew
			p.AsleepAt, p.Turning, p.ActiveAt = time.Time{}, false, time.Time{}
			p.Repository, p.RepositoryID, p.Namespace = r.Source.Repository, r.Source.RepositoryID, r.Namespace
			p.Group, p.Owner = app.group(), ""
		case PreviewActive:
		}
		if r.Evidence.Scheme != requestScheme { // which names no branch: the class stays
			p.Fork = fork
		}
		p.LastPushAt = later(p.LastPushAt, r.Source.EventAt)
		return nil
	})
	if err != nil {
		return fmt.Errorf("recording the preview %s: %w", r.Line, err)
	}
	return nil
}

// abandonPreview notes that nothing came of a preview after all: it takes no place.
func (a *Agent) abandonPreview(ctx context.Context, line Line) error {
	_, err := a.Previews.KeepPreview(ctx, line, func(p *Preview) error {
		if p.Phase == PreviewActive {
			p.Phase, p.DestroyedAt, p.CreatedAt = PreviewDestroyed, a.now(), time.Time{}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("recording that nothing came of preview %s: %w", line, err)
	}
	return nil
}

// destroyPreview admits an intent to take a preview away: one write makes it durable,
// with the marks that keep older intents from making it anew.
func (a *Agent) destroyPreview(ctx context.Context, grant Grant, v intent.Verified, as Refusal) error {
	statement := v.Statement().Predicate
	destroy := Destroy{
		Intent: v.Digest(), Rule: grant.Rule, Source: statement.Source, IssuedAt: statement.IssuedAt,
		Evidence: v.Evidence(), At: a.now(),
	}
	releases := a.Reader.Releases(as.Line)
	p, err := a.Previews.KeepPreview(ctx, as.Line, func(p *Preview) error { return p.destroy(destroy, v, releases) })
	if denied := (*Denied)(nil); errors.As(err, &denied) {
		return a.deny(ctx, as, denied)
	}
	if err != nil {
		return fmt.Errorf("recording the end of preview %s: %w", as.Line, err)
	}
	a.log.Info("preview ends", "environment", as.Line.Environment, "name", as.Line.App, "commit", destroy.Source.Commit,
		"namespace", p.Namespace, "phase", p.Phase)
	a.lines.wake(as.Line, a.overtaken(as.Line))
	a.wakePreviewReports(p)
	return nil
}

// destroy notes that d was admitted while the line had releases.
func (p *Preview) destroy(d Destroy, v intent.Verified, releases []Release) error {
	if slices.ContainsFunc(p.Destroys, func(old Destroy) bool { return old.Intent == d.Intent }) {
		return nil
	}
	there := p.Phase == PreviewActive || p.Phase == PreviewDestroying
	if (there || p.Waiting != nil) && p.RepositoryID != d.Source.RepositoryID {
		return &Denied{
			Rule: "policy: previews", Field: "repository", Got: d.Source.Repository,
			Want: p.Repository + ", whose pull request has the preview",
		}
	}
	p.stopWaiting(d.At, EndAsked.words())
	if there {
		p.Phase = PreviewDestroying
	} else {
		p.Phase, p.DestroyedAt = PreviewDestroyed, d.At
		p.Repository, p.RepositoryID = d.Source.Repository, d.Source.RepositoryID
		d.Nothing, d.DoneAt = true, d.At
	}
	p.passOn(d, releases)
	p.Marks = p.Marks.Advance(v, p.Marks.LastNumber, OutcomeAdmit, "")
	p.Marks.Current, p.Marks.LastRollbackAt, p.Marks.LastRollbackBy = 0, time.Time{}, ""
	p.settle(d.At, Decided{Intent: d.Intent, IssuedAt: d.IssuedAt})
	p.add(d)
	return nil
}

// takeDown gives the end of a preview one turn: what is under way is cancelled, its
// teardown command runs, and then its namespace goes. It is decided from what is there, so it may be cut short
// anywhere and begin again. A namespace that does not go is looked at ever more
// rarely, and is in the way of nobody else.
func (a *Agent) takeDown(ctx context.Context, p Preview) error {
	a.razing(p.Line, true)
	defer a.razing(p.Line, false)
	p, err := a.cancelAll(ctx, p)
	if err != nil {
		return err
	}
	if p, err = a.tearDown(ctx, p); err != nil {
		return err
	}
	deleteCtx, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	left, err := a.Namespaces.DeleteNamespace(deleteCtx, p)
	if errors.Is(err, ErrShared) {
		left, err = a.moveOut(deleteCtx, p)
	}
	kept := errors.Is(err, ErrForeign)
	if err != nil && !kept {
		return fmt.Errorf("deleting namespace %s of preview %s: %w", p.Namespace, p.Line, err)
	}
	now := a.now()
	if left == "" {
		return a.finishPreview(ctx, p.Line, now, kept)
	}
	since := now.Sub(p.destroyingSince())
	a.lookAgain(p.Line, now.Add(min(max(since/4, firstDestroyLook), lastDestroyLook)))
	if message := "Waiting for its namespace to end: " + left; since >= destroyPatience && p.Message != message {
		a.log.Warn("the namespace of a preview does not end", "environment", p.Line.Environment, "name", p.Line.App, "namespace", p.Namespace, "reason", left)
		if p, err = a.Previews.KeepPreview(ctx, p.Line, func(p *Preview) error { p.Message = message; return nil }); err != nil {
			return fmt.Errorf("recording what preview %s waits for: %w", p.Line, err)
		}
	}
	a.wakePreviewReports(p)
	return nil
}

// destroyingSince is when the first destroy was admitted that is not done.
func (p Preview) destroyingSince() time.Time {
	var since time.Time
	for _, d := range p.Destroys {
		if d.DoneAt.IsZero() {
			since = earlier(since, d.At)
		}
	}
	if since.IsZero() { // it is taken up again: a namespace came after the end
		return p.DestroyedAt
	}
	return since
}

// razing notes whether the line's turn is at taking its preview away.
func (a *Agent) razing(line Line, is bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if is {
		a.razed[line] = true
	} else {
		delete(a.razed, line)
	}
}

// cancelAll ends every release that is under way, and makes durable on p what is yet
// to be told of releases: their records go with the namespace. That one cannot be
// written, because its namespace is ending already, is no obstacle.
func (a *Agent) cancelAll(ctx context.Context, p Preview) (Preview, error) {
	now, releases := a.now(), a.Reader.Releases(p.Line)
	var remains []Release
	comment := p.Comment
	for _, r := range releases {
		comment = max(comment, r.Status.Shown(WayComment).ID)
		left := r.remains(now, p.why())
		if p.Waiting != nil && p.Waiting.Evicted {
			left.madeRoom(r)
		}
		told := slices.ContainsFunc(p.Remains, func(old Release) bool { return old.Intent == r.Intent })
		if !told && slices.ContainsFunc(a.ways, left.unreported) {
			remains = append(remains, left)
		}
	}
	if len(remains) > 0 || comment != p.Comment {
		var err error
		p, err = a.Previews.KeepPreview(ctx, p.Line, func(p *Preview) error {
			p.Remains, p.Comment = append(slices.Clone(p.Remains), remains...), comment
			p.Remains = p.Remains[max(0, len(p.Remains)-maxRemains):]
			return nil
		})
		if err != nil {
			return p, fmt.Errorf("recording what is left of preview %s: %w", p.Line, err)
		}
	}
	for _, r := range releases {
		if r.Status.Phase.Terminal() {
			continue
		}
		err := a.move(ctx, r, func(s *Status) {
			s.Phase, s.Message, s.Cause = Superseded, removedTitle(r, p.why()), nil
			s.Reach(StepVerdict, now)
		})
		if err != nil {
			a.log.Debug("release not cancelled", "environment", r.Line.Environment, "name", r.Line.App, "release", r.Number, "error", err)
		}
	}
	return p, ctx.Err()
}

// remains is what is told of r once it is gone: it is superseded by the end of its
// preview, which has ended for that reason. A verdict that was told before stays as it is.
func (r Release) remains(now time.Time, why string) Release {
	left := Release{
		Line: r.Line, Namespace: r.Namespace, Number: r.Number, Intent: r.Intent, Kind: r.Kind, Commit: r.Commit, Image: r.Image,
		Rule: r.Rule, Source: r.Source, IssuedAt: r.IssuedAt, Evidence: intent.Evidence{Scheme: r.Evidence.Scheme}, Removed: true,
	}
	left.Status.ReportedOn = r.Status.ReportedOn
	for _, step := range []Step{StepNoticed, StepVerified, StepAdmitted, StepReady, StepVerdict} {
		if at := r.Status.At(step); !at.IsZero() {
			left.Status.Reach(step, at)
		}
	}
	left.Status.Reach(StepVerdict, now)
	left.Status.Phase, left.Status.Message = Superseded, removedTitle(r, why)
	left.Status.Reported = slices.Clone(r.Status.Reported)
	for _, shown := range r.Status.Reported {
		if shown.Way.waited() && shown.Phase.Terminal() {
			shown.Phase, shown.Ready = Superseded, 0
			left.Status.report(shown)
		}
	}
	for _, way := range []Way{WayDeployment, WayComment} { // what was never shown needs no end, and the comment has its own
		shown := left.Status.Shown(way)
		if way == WayComment || shown.Phase == "" {
			left.Status.report(Reported{Way: way, Phase: left.phase(way), ID: shown.ID})
		}
	}
	return left
}

// finishPreview notes that nothing is left, or that the namespace was kept: it is not
// the agent's any more.
func (a *Agent) finishPreview(ctx context.Context, line Line, now time.Time, kept bool) error {
	p, err := a.Previews.KeepPreview(ctx, line, func(p *Preview) error {
		if p.Phase != PreviewDestroying {
			return nil
		}
		p.Phase, p.DestroyedAt, p.Message = PreviewDestroyed, now, ""
		if p.Waiting != nil {
			p.Phase = PreviewWaiting
		}
		p.Remains, p.Destroys = a.untold(p.Remains), slices.Clone(p.Destroys)
		for i := range p.Destroys {
			if p.Destroys[i].DoneAt.IsZero() {
				p.Destroys[i].DoneAt, p.Destroys[i].Kept = now, kept
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("recording that preview %s is gone: %w", line, err)
	}
	if !kept { // of which the cluster's part has told
		a.log.Info("preview is gone", "environment", line.Environment, "name", line.App, "namespace", p.Namespace, "duration", now.Sub(p.lastAsked()))
	}
	a.wakePreviewReports(p)
	return nil
}

// lastAsked is when the newest destroy was admitted.
func (p Preview) lastAsked() time.Time {
	if n := len(p.Destroys); n > 0 {
		return p.Destroys[n-1].At
	}
	return time.Time{}
}

// forgetPreviews deletes the records of destroyed previews whose time is over.
func (a *Agent) forgetPreviews(ctx context.Context, app App) error {
	now, left := a.now(), len(app.Previews)
	gone := slices.DeleteFunc(slices.Clone(app.Previews), func(p Preview) bool { return p.Phase != PreviewDestroyed || slices.ContainsFunc(a.ways, p.Unreported) })
	slices.SortFunc(gone, func(x, y Preview) int { return x.lastWord().Compare(y.lastWord()) })
	for _, p := range gone {
		if now.Sub(p.lastWord()) < destroyedFor && left <= maxPreviewRecords {
			return nil
		}
		if err := a.Previews.ForgetPreview(ctx, p); err != nil {
			return fmt.Errorf("forgetting preview %s: %w", p.Line, err)
		}
		left--
	}
	return nil
}

// lastWord is the latest time of which the record of p has to tell.
func (p Preview) lastWord() time.Time {
	return later(later(p.DestroyedAt, p.Marks.LastIssuedAt), p.Marks.ForgottenBefore)
}
