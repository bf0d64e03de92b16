package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// The bounds of one step.
const (
	applyTimeout  = 60 * time.Second
	observeSlack  = time.Minute      // over the deadline: Judge has failed it by then
	applyDeadline = 15 * time.Minute // for objects that cannot be written, with all tries
	applyPatience = time.Minute      // of tries by this process: after a pause, the first failure proves nothing
)

// reconcile gives a line one turn: the newest release goes on from where it is,
// older unfinished ones make way for it. It is cancelled when a newer release
// appears, except while a predeploy or a seed runs.
func (a *Agent) reconcile(ctx context.Context, line Line) error {
	for {
		if p, found := a.Records.Preview(line); found && p.Phase == PreviewDestroying {
			return a.takeDown(ctx, p)
		}
		releases := a.Reader.Releases(line)
		if len(releases) == 0 {
			return nil
		}
		newest := releases[len(releases)-1]
		for _, old := range releases[:len(releases)-1] {
			if err := a.makeWay(ctx, old, releases); err != nil {
				return err
			}
		}
		if newest.Status.Phase.Terminal() {
			return errors.Join(a.tidy(ctx, line), a.rest(ctx, line), a.watchOver(ctx, line))
		}
		if err := a.rouse(ctx, line); err != nil {
			return err
		}
		if err := a.step(ctx, newest, releases); err != nil {
			return err
		}
	}
}

// makeWay ends an older release that is under way, its running command first.
func (a *Agent) makeWay(ctx context.Context, old Release, releases []Release) error {
	switch {
	case old.Status.Phase.Terminal():
		return nil
	case old.commands():
		return a.runStage(ctx, old)
	}
	return a.supersede(ctx, old, releases)
}

// supersede ends r in favour of the newest of releases.
func (a *Agent) supersede(ctx context.Context, r Release, releases []Release) error {
	by := releases[len(releases)-1].deployed(releases)
	return a.move(ctx, r, func(s *Status) {
		s.SupersededBy = by
		if s.Phase == Restoring { // its red was certain before
			s.Phase = Failed
			return
		}
		if s.Phase == Predeploying || s.Phase == Seeding {
			s.Cause = nil // how its command ended is no matter any more
		}
		s.Phase, s.Message = Superseded, "Superseded by "+short(by)
		s.Reach(StepVerdict, a.now())
	})
}

// step takes a release from one phase to the next. Every step may run twice.
func (a *Agent) step(ctx context.Context, r Release, releases []Release) error {
	switch r.Status.Phase {
	case Pending, "":
		return a.prepare(ctx, r, releases)
	case Provisioning:
		return a.provision(ctx, r, releases)
	case Predeploying, Seeding:
		return a.runStage(ctx, r)
	case Applying:
		return a.apply(ctx, r, releases)
	case RollingOut:
		return a.observe(ctx, r, releases)
	case Restoring:
		return a.restore(ctx, r, releases)
	case Succeeded, Failed, RolledBack, Superseded:
	}
	return fmt.Errorf("release %d of %s: no step follows phase %q", r.Number, r.Line, r.Status.Phase)
}

// errMoved says that a release is no longer in the phase that a step started
// from; the line is looked at anew.
var errMoved = errors.New("release moved on meanwhile")

// move is advance for the last write of a step.
func (a *Agent) move(ctx context.Context, r Release, change func(*Status)) error {
	_, err := a.advance(ctx, r, change)
	return err
}

// advance makes a change of a release's status durable. A report written
// meanwhile is no obstacle, another phase is.
func (a *Agent) advance(ctx context.Context, r Release, change func(*Status)) (Release, error) {
	from := r.Status.Phase
	for {
		next := r
		next.Status.Timeline = slices.Clone(r.Status.Timeline)
		change(&next.Status)
		written, err := a.Releases.UpdateRelease(ctx, next)
		if err == nil {
			a.Meter.Moved(next, r.Status)
			if next.Status.Phase != from {
				a.log.Info("release moved", "environment", r.Line.Environment, "name", r.Line.App, "release", r.Number,
					"phase", next.Status.Phase, "reason", next.Status.Message)
			}
			return written, nil
		}
		if !errors.Is(err, ErrConflict) {
			return r, fmt.Errorf("writing the status of release %d of %s: %w", r.Number, r.Line, err)
		}
		if r, err = a.reread(ctx, r); err != nil {
			return r, err
		}
		if r.Status.Phase != from {
			return r, fmt.Errorf("release %d of %s: %w: from %s to %s", r.Number, r.Line, errMoved, from, r.Status.Phase)
		}
	}
}

// reread returns the release as it is now in the cache, once the cache has seen
// the write that was in the way. It fails if somebody deleted the release.
func (a *Agent) reread(ctx context.Context, r Release) (Release, error) {
	for wait := time.Millisecond; ; wait = min(2*wait, time.Second) {
		releases := a.Reader.Releases(r.Line)
		i := slices.IndexFunc(releases, func(now Release) bool { return now.Number == r.Number })
		if i < 0 {
			return r, fmt.Errorf("release %d of %s is gone", r.Number, r.Line)
		}
		if releases[i].Version != r.Version {
			return releases[i], nil
		}
		select {
		case <-ctx.Done():
			return r, ctx.Err()
		case <-time.After(wait):
		}
	}
}

// prepare makes durable what the release is going to write, so that pruning finds
// it however the writing ends.
func (a *Agent) prepare(ctx context.Context, r Release, releases []Release) error {
	planCtx, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	inventory, err := a.Planner.Objects(planCtx, r)
	if rejected := (*Rejected)(nil); errors.As(err, &rejected) {
		return a.fail(ctx, r, *r.refused(rejected), releases)
	}
	if err != nil {
		return fmt.Errorf("planning release %d of %s: %w", r.Number, r.Line, err)
	}
	next := a.next(r, Pending)
	return a.move(ctx, r, func(s *Status) {
		s.Phase, s.Message, s.Inventory = next, next.begins(), union(s.Inventory, inventory)
	})
}

// apply writes the release's objects. What the API server refuses is a verdict.
func (a *Agent) apply(ctx context.Context, r Release, releases []Release) error {
	applyCtx, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	inventory, err := a.Cluster.Apply(applyCtx, r)
	if rejected := (*Rejected)(nil); errors.As(err, &rejected) {
		return a.fail(ctx, r, *r.refused(rejected), releases)
	}
	if err != nil && ctx.Err() == nil && a.givesUp(r, r.Status.last()) {
		return a.fail(ctx, r, Cause{
			Kind: CauseNoProgress, Message: fmt.Sprintf("its objects were not written within %s: %v", applyDeadline, err),
			Next: "ask the platform owner about the API server and its admission webhooks, then run the workflow again",
		}, releases)
	}
	if err != nil {
		return fmt.Errorf("applying release %d of %s: %w", r.Number, r.Line, err)
	}
	return a.move(ctx, r, func(s *Status) {
		s.Phase, s.Message, s.Inventory = RollingOut, waitsForPods, union(s.Inventory, inventory)
		s.Reach(StepApplied, a.now())
	})
}

// observe watches until the verdict is certain.
func (a *Agent) observe(ctx context.Context, r Release, releases []Release) error {
	applied := r.Status.At(StepApplied)
	r, verdict, seen, err := a.judge(ctx, r, applied)
	if err != nil {
		return err
	}
	services := serviceStatus(r, seen)
	if verdict.Cause != nil {
		cause := a.Witness.Testimony(ctx, r, *verdict.Cause)
		if ctx.Err() != nil { // a newer release came: this one is superseded, not red
			return ctx.Err()
		}
		r.Status.Services = services
		return a.fail(ctx, r, cause, releases)
	}
	return a.move(ctx, r, func(s *Status) {
		s.Phase, s.Services = Succeeded, services
		s.Reach(StepReady, later(verdict.ReadyAt, applied))
		s.Reach(StepVerdict, a.now())
		s.Message = fmt.Sprintf("Live in %s", s.At(StepVerdict).Sub(s.At(StepNoticed)).Round(100*time.Millisecond))
	})
}

// judge watches the rollout until Judge is done. What it waits for out of the
// ordinary is made durable, so that people see why it takes so long.
//
// A release may have been applied in the future: by an agent whose clock was ahead,
// or before this one's was set back. Its time then begins when that is seen.
func (a *Agent) judge(ctx context.Context, r Release, applied time.Time) (Release, Verdict, Observation, error) {
	ctx, cancel := context.WithTimeout(ctx, deadline(r)+observeSlack)
	defer cancel()
	var before memory
	var told progress
	watch := func(ctx context.Context, see func(Observation) bool) error { return a.Cluster.Watch(ctx, r, see) }
	verdict, seen, err := follow(ctx, a.config.Now, watch, func(o Observation, now time.Time) Verdict {
		if now.Before(applied) {
			applied = now
		}
		before.fill(o, now)
		verdict := Judge(r, o, applied, now)
		if before.ask(ctx, a.Witness, r, verdict.Ask, now) {
			before.fill(o, now)
			verdict = Judge(r, o, applied, now)
		}
		if enough := before.began.Add(uncertainFor); verdict.Cause.ofTimeAlone() && now.Before(enough) {
			verdict = Verdict{Recheck: enough, Message: verdict.Message, Waits: verdict.Waits}
		}
		r = a.tellWait(ctx, r, verdict)
		if verdict.Done {
			return verdict
		}
		r = a.tellProgress(ctx, r, o, now, &told)
		verdict.Recheck = earlier(verdict.Recheck, told.again)
		return verdict
	})
	if err != nil {
		err = fmt.Errorf("watching release %d of %s: %w", r.Number, r.Line, err)
	}
	return r, verdict, seen, err
}

// waitsForPods is the message of a rollout that goes as it should.
const waitsForPods = "Waiting for new pods"

// waits reports whether a rollout waits for something out of the ordinary, which
// its message tells.
func (r Release) waits() bool {
	return r.Status.Phase == RollingOut && r.Status.Message != "" && r.Status.Message != waitsForPods
}

// tellWait keeps the message of a rollout in step with what it waits for. Trouble
// with that is no obstacle to the verdict.
func (a *Agent) tellWait(ctx context.Context, r Release, v Verdict) Release {
	message := orElse(v.Waits, waitsForPods)
	if v.Done || message == r.Status.Message {
		return r
	}
	written, err := a.advance(ctx, r, func(s *Status) { s.Message = message })
	if err != nil {
		a.log.Debug("progress not written", "environment", r.Line.Environment, "name", r.Line.App, "release", r.Number, "error", err)
		return r
	}
	return written
}

// ofTimeAlone reports whether nothing but the time that has passed speaks against
// the release. The time of the first look proves little: the clock was set since
// the release was applied, or it was another agent's, or this one was away.
func (c *Cause) ofTimeAlone() bool {
	if c == nil {
		return false
	}
	return slices.Contains([]CauseKind{CauseNotReady, CauseNotListening, CauseProbe, CauseUnschedulable, CauseNoProgress}, c.Kind)
}

// follow calls judge with everything that watch sees, and again when a symptom's
// time is up, until judge is done. It returns what was seen last. The time that
// judge is told begins with the clock's and then goes on steadily, whoever sets
// the clock meanwhile, if now's times have a monotonic part.
func follow[O any](ctx context.Context, now func() time.Time, watch func(context.Context, func(O) bool) error, judge func(O, time.Time) Verdict) (Verdict, O, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	observations := make(chan O)
	ended := make(chan error, 1)
	go func() {
		ended <- watch(ctx, func(o O) bool {
			select {
			case observations <- o:
				return false
			case <-ctx.Done():
				return true
			}
		})
	}()
	began := now()
	var seen O
	var recheck <-chan time.Time
	for {
		select {
		case err := <-ended:
			if err == nil {
				err = ctx.Err()
			}
			return Verdict{}, seen, err
		case seen = <-observations:
		case <-recheck:
		}
		at := began.Add(now().Sub(began)).UTC() // by the monotonic part of both, which UTC takes off
		verdict := judge(seen, at)
		if verdict.Done {
			cancel()
			<-ended //nolint:errcheck // because the watch was cancelled: the verdict is what counts
			return verdict, seen, nil
		}
		recheck = nil
		if !verdict.Recheck.IsZero() {
			recheck = time.After(max(verdict.Recheck.Sub(at), time.Millisecond))
		}
	}
}

// short is a commit as people write it.
func short(commit string) string { return commit[:min(len(commit), 7)] }
