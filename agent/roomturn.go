package agent

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/inhaul/inhaul/intent"
)

// errThere says that a preview which was to wait is there by now.
var errThere = errors.New("there is a preview by now")

// hasRoom reports whether r, which was just admitted, may be made in its preview now:
// there is one already, or a place for one that nobody has a better claim to.
func (a App) hasRoom(r Release) bool {
	p, found := a.preview(r.Line.Environment)
	if !found {
		p = Preview{Line: r.Line}
	}
	if p.Phase == PreviewActive {
		return true
	}
	p.Waiting = &Parked{Release: r}
	others := slices.DeleteFunc(slices.Clone(a.Previews), func(old Preview) bool { return old.Line == r.Line })
	return slices.Contains(a.roomFor(append(others, p)).Open, r.Line)
}

// roomFor is what Room decides of previews of the app; nothing if it has none any more.
func (a App) roomFor(previews []Preview) RoomDecision {
	if a.PreviewPolicy == nil {
		return RoomDecision{}
	}
	return Room(previews, a.PreviewPolicy.Max, a.PreviewPolicy.KeepLabel)
}

// park makes durable that r waits for room: it was admitted, so nothing older is any
// more, and it is no news. Then room is made, if some can be.
func (a *Agent) park(ctx context.Context, r Release) error {
	now := a.now()
	p, err := a.Previews.KeepPreview(ctx, r.Line, func(p *Preview) error {
		if p.Phase == PreviewActive {
			return errThere // by its next look it has room
		}
		p.overtake(r, now)
		p.Marks = p.Marks.advance(r.Source, r.IssuedAt, p.Marks.LastNumber, false, "")
		p.settle(now, Decided{Intent: r.Intent, IssuedAt: r.IssuedAt})
		p.Repository, p.RepositoryID = r.Source.Repository, r.Source.RepositoryID
		if p.Phase != PreviewDestroying {
			p.Phase, p.Namespace = PreviewWaiting, r.Namespace
		}
		p.Waiting = &Parked{Since: now, Release: r}
		return nil
	})
	if err != nil {
		return fmt.Errorf("recording that preview %s waits for room: %w", r.Line, err)
	}
	a.log.Info("preview waits for room", "environment", r.Line.Environment, "name", r.Line.App, "commit", r.Source.Commit, "phase", p.Phase)
	return a.makeRoom(ctx, r.Line.App)
}

// makeRoom carries out what Room decides of the app's previews as they are. All of it is
// decided from what is durable, so it may be cut short anywhere.
func (a *Agent) makeRoom(ctx context.Context, name string) error {
	app, found := a.app(name)
	if !found || !slices.ContainsFunc(app.Previews, func(p Preview) bool { return p.Waiting != nil }) {
		return nil
	}
	policy, err := CompilePolicy(app)
	if err != nil {
		return err
	}
	d := app.roomFor(app.Previews)
	var failures []error
	for _, p := range app.Previews { // of which an agent has died that was making it, or there are to be none
		if p.Waiting != nil && (p.Phase == PreviewActive || app.PreviewPolicy == nil) {
			failures = append(failures, a.comeIn(ctx, policy, app, p))
		}
	}
	for _, line := range d.Evict {
		p, _ := app.preview(line.Environment)
		failures = append(failures, a.evict(ctx, p))
	}
	for _, line := range d.Open {
		p, _ := app.preview(line.Environment)
		failures = append(failures, a.comeIn(ctx, policy, app, p))
	}
	for _, hold := range d.Hold {
		p, _ := app.preview(hold.Line.Environment)
		failures = append(failures, a.tellHold(ctx, p, hold.message(p, app.PreviewPolicy.Max)))
	}
	return errors.Join(failures...)
}

// evict ends a preview for another one's sake, in one write with what it is to come back
// with. One that was used since that was decided stays.
func (a *Agent) evict(ctx context.Context, seen Preview) error {
	now, releases, evicted := a.now(), a.Reader.Releases(seen.Line), false
	p, err := a.Previews.KeepPreview(ctx, seen.Line, func(p *Preview) error {
		evicted = p.Phase == PreviewActive && p.Waiting == nil && p.activity().Equal(seen.activity())
		if !evicted {
			return nil
		}
		p.takeAway(End{Reason: EndRoom}.destroy(*p, releases, now), releases)
		if n := len(releases); n > 0 { // else its first intent is still news
			p.Waiting = &Parked{Since: now, Evicted: true, Release: releases[n-1].again()}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("recording that preview %s makes room: %w", seen.Line, err)
	}
	if !evicted {
		return nil
	}
	a.log.Info("preview ends", "environment", p.Line.Environment, "name", p.Line.App, "repository", p.Repository, "namespace", p.Namespace,
		"phase", p.Phase, "reason", EndRoom)
	a.lines.wake(p.Line, a.overtaken(p.Line))
	a.wakePreviewReports(p)
	return nil
}

// again is r as it is deployed once more, to a preview that is made anew. Its intent was
// answered: what is told of this one is told by a name that follows from that.
func (r Release) again() Release {
	sum := sha256.Sum256([]byte("inhaul.dev/room\n" + r.Intent))
	r.Intent, r.Status, r.Version = "sha256:"+hex.EncodeToString(sum[:]), Status{}, ""
	r.Note = "it made room for another preview, and there is room again"
	return r
}

// comeIn makes the preview of what p waits with: a release with the next number, if
// policy allows it today. If the agent dies on the way, p is Active and still waits.
func (a *Agent) comeIn(ctx context.Context, policy Policy, app App, p Preview) error {
	r, releases, now := p.Waiting.Release, a.Reader.Releases(p.Line), a.now()
	if slices.ContainsFunc(releases, func(old Release) bool { return old.Intent == r.Intent }) {
		return a.isIn(ctx, p.Line, r.Intent)
	}
	environment, denied := policy.environment(intent.Predicate{Kind: intent.Deploy, Environment: p.Line.Environment})
	if denied == nil {
		denied = policy.judgeRule(r, environment, p.Fork)
	}
	if denied == nil {
		denied = policy.judgeRelease(r, environment)
	}
	if denied != nil {
		return a.turnAway(ctx, policy, p, denied)
	}
	r.Line, r.Namespace, r.Number = p.Line, environment.Namespace, history(app, p.Line, releases).Marks.LastNumber+1
	r.Status = Status{Phase: Pending}                                      // what shows it already is found by its intent
	for _, step := range []Step{StepNoticed, StepVerified, StepAdmitted} { // that it waited is no part of how long it takes
		r.Status.Reach(step, now)
	}
	err := a.open(ctx, r)
	if rejected := (*Rejected)(nil); errors.As(err, &rejected) { // however often it is asked
		return a.turnAway(ctx, policy, p, &Denied{Rule: "policy: namespace", Field: "namespace", Got: r.Namespace, Want: "one that the cluster can have: " + rejected.Message})
	}
	if err != nil {
		return err
	}
	if err := a.isIn(ctx, p.Line, r.Intent); err != nil {
		return err
	}
	app, _ = a.app(app.Name)
	marks := history(app, p.Line, append(slices.Clone(releases), r)).Marks
	return a.Apps.UpdateApp(ctx, app.Name, func(s *AppStatus) { s.remember(marks) })
}

// open makes durable that the preview of r is there, then r.
func (a *Agent) open(ctx context.Context, r Release) error {
	if err := a.openPreview(ctx, r); err != nil {
		return err
	}
	if _, err := a.Releases.CreateRelease(ctx, r); err != nil {
		return fmt.Errorf("creating release %d of %s: %w", r.Number, r.Line, err)
	}
	a.Meter.Moved(r, Status{})
	a.log.Info("release admitted", "environment", r.Line.Environment, "name", r.Line.App, "release", r.Number,
		"commit", r.Source.Commit, "image", r.Image, "reason", "Room")
	return nil
}

// isIn notes that what the preview waited with is a release now.
func (a *Agent) isIn(ctx context.Context, line Line, digest string) error {
	_, err := a.Previews.KeepPreview(ctx, line, func(p *Preview) error {
		if p.Waiting != nil && p.Waiting.Release.Intent == digest {
			p.Waiting = nil
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("recording that preview %s waits no more: %w", line, err)
	}
	return nil
}

// turnAway ends the waiting of p because policy says no: that is told as every no is,
// first, so that it is not lost.
func (a *Agent) turnAway(ctx context.Context, policy Policy, p Preview, denied *Denied) error {
	r := p.Waiting.Release
	refusal := Refusal{
		Line: p.Line, Intent: r.Intent, Tag: "room:" + prefix(r.Intent), Rule: denied.Rule, Message: denied.Error(), At: a.now(),
	}
	if policy.mayReport(r.Source) {
		refusal.Repository, refusal.RepositoryID, refusal.Commit = r.Source.Repository, r.Source.RepositoryID, r.Source.Commit
		refusal.HeadCommit, refusal.PullRequest, refusal.RunID = r.Source.HeadCommit, r.Source.PullRequest, r.Source.RunID
	}
	if err := a.refuse(ctx, refusal, time.Time{}); err != nil {
		return err
	}
	there := len(a.Reader.Releases(p.Line)) > 0
	_, err := a.Previews.KeepPreview(ctx, p.Line, func(p *Preview) error {
		if p.Waiting != nil && p.Waiting.Release.Intent == r.Intent {
			if p.Phase == PreviewActive && !there { // nothing came of it
				p.Phase, p.CreatedAt = PreviewWaiting, time.Time{}
			}
			p.leave(a.now())
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("recording that preview %s waits no more: %w", p.Line, err)
	}
	return nil
}

// leave ends the waiting of p.
func (p *Preview) leave(now time.Time) {
	p.Waiting = nil
	if p.Phase == PreviewWaiting {
		p.Phase, p.DestroyedAt, p.Message = PreviewDestroyed, now, ""
	}
}

// stopWaiting ends the waiting of p, if it does wait, for the given reason, which
// whoever asked for it is told.
func (p *Preview) stopWaiting(now time.Time, why string) {
	if p.Waiting == nil {
		return
	}
	if parked := p.parked(); parked.Intent != "" {
		left := parked.remains(now, why)
		p.Remains = append(slices.Clone(p.Remains), left)
		p.Remains = p.Remains[max(0, len(p.Remains)-maxRemains):]
	}
	p.leave(now)
}

// giveUp notes that d was decided of p, which waits: nothing of it comes back.
func (p *Preview) giveUp(d Destroy) {
	if p.Phase == PreviewWaiting {
		d.DoneAt, d.Nothing = d.At, true
	}
	p.stopWaiting(d.At, d.Reason.words())
	p.add(d)
}

// standsWaiting reports whether e was decided of what p waits with.
func (e End) standsWaiting(p Preview) bool {
	was := e.Preview.Waiting
	return e.Preview.Line == Line{} || was != nil && was.Release.Intent == p.Waiting.Release.Intent
}

// overtake ends the waiting of what r has the place of from now on.
func (p *Preview) overtake(r Release, now time.Time) {
	if p.Waiting == nil || p.Waiting.Release.Intent == r.Intent {
		return
	}
	phase, n := p.Phase, len(p.Remains)
	p.stopWaiting(now, "")
	p.Phase = phase
	for i := n; i < len(p.Remains); i++ {
		p.Remains[i].Status.Message = "Superseded by " + short(r.deployed(nil))
	}
}

// tellHold keeps on record what p waits for.
func (a *Agent) tellHold(ctx context.Context, p Preview, message string) error {
	if p.Phase != PreviewWaiting || p.Message == message {
		return nil
	}
	_, err := a.Previews.KeepPreview(ctx, p.Line, func(p *Preview) error {
		if p.Phase == PreviewWaiting {
			p.Message = message
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("recording what preview %s waits for: %w", p.Line, err)
	}
	return nil
}
