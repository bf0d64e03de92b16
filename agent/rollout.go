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
// appears.
func (a *Agent) reconcile(ctx context.Context, line Line) error {
	releases := a.Reader.Releases(line)
	if len(releases) == 0 {
		return nil
	}
	newest := releases[len(releases)-1]
	by := newest.deployed(releases)
	for _, old := range releases[:len(releases)-1] {
		if old.Status.Phase.Terminal() {
			continue
		}
		if _, err := a.advance(ctx, old, func(s *Status) {
			s.SupersededBy = by
			if s.Phase == Restoring { // its red was certain before
				s.Phase = Failed
				return
			}
			s.Phase, s.Message = Superseded, "Superseded by "+short(by)
			s.Reach(StepVerdict, a.now())
		}); err != nil {
			return err
		}
	}
	for !newest.Status.Phase.Terminal() {
		next, err := a.step(ctx, newest, releases)
		if err != nil {
			return err
		}
		newest = next
	}
	return a.tidy(ctx, line)
}

// step takes a release from one phase to the next. Every step may run twice.
func (a *Agent) step(ctx context.Context, r Release, releases []Release) (Release, error) {
	switch r.Status.Phase {
	case Pending, "":
		return a.prepare(ctx, r, releases)
	case Applying:
		return a.apply(ctx, r, releases)
	case RollingOut:
		return a.observe(ctx, r, releases)
	case Restoring:
		return a.restore(ctx, r, releases)
	case Succeeded, Failed, RolledBack, Superseded:
	}
	return r, fmt.Errorf("release %d of %s: no step follows phase %q", r.Number, r.Line, r.Status.Phase)
}

// errMoved says that a release is no longer in the phase that a step started
// from; the line is looked at anew.
var errMoved = errors.New("release moved on meanwhile")

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
func (a *Agent) prepare(ctx context.Context, r Release, releases []Release) (Release, error) {
	inventory, err := a.Planner.Objects(r)
	if rejected := (*Rejected)(nil); errors.As(err, &rejected) {
		return a.fail(ctx, r, rejected.cause(), current(releases))
	}
	if err != nil {
		return r, fmt.Errorf("planning release %d of %s: %w", r.Number, r.Line, err)
	}
	return a.advance(ctx, r, func(s *Status) { s.Phase, s.Message, s.Inventory = Applying, "Writing its objects", inventory })
}

func (r *Rejected) cause() Cause {
	return Cause{
		Kind: CauseRejected, Message: "the cluster refuses " + r.Object.Kind + " " + r.Object.Name + ": " + r.Message,
		Next: "mend inhaul.yaml, or ask the platform owner about the cluster's admission rules",
	}
}

// failure is a release in a phase whose objects cannot be written.
type failure struct {
	number int
	phase  Phase
	since  time.Time
}

// givesUp notes that the objects of r could not be written, and reports whether
// that has lasted too long: for applyDeadline after start, and for applyPatience
// before the eyes of this process.
func (a *Agent) givesUp(r Release, start time.Time) bool {
	now := a.now()
	a.mu.Lock()
	defer a.mu.Unlock()
	if f := a.failing[r.Line]; f.number != r.Number || f.phase != r.Status.Phase {
		a.failing[r.Line] = failure{r.Number, r.Status.Phase, now}
	}
	return now.Sub(start) >= applyDeadline && now.Sub(a.failing[r.Line].since) >= applyPatience
}

// apply writes the release's objects. What the API server refuses is a verdict.
func (a *Agent) apply(ctx context.Context, r Release, releases []Release) (Release, error) {
	applyCtx, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	inventory, err := a.Cluster.Apply(applyCtx, r)
	if rejected := (*Rejected)(nil); errors.As(err, &rejected) {
		return a.fail(ctx, r, rejected.cause(), current(releases))
	}
	if err != nil && ctx.Err() == nil && a.givesUp(r, r.Status.At(StepAdmitted)) {
		return a.fail(ctx, r, Cause{
			Kind: CauseNoProgress, Message: fmt.Sprintf("its objects were not written within %s: %v", applyDeadline, err),
			Next: "ask the platform owner about the API server and its admission webhooks, then run the workflow again",
		}, current(releases))
	}
	if err != nil {
		return r, fmt.Errorf("applying release %d of %s: %w", r.Number, r.Line, err)
	}
	return a.advance(ctx, r, func(s *Status) {
		s.Phase, s.Message, s.Inventory = RollingOut, "Waiting for new pods", inventory
		s.Reach(StepApplied, a.now())
	})
}

// observe watches until the verdict is certain.
func (a *Agent) observe(ctx context.Context, r Release, releases []Release) (Release, error) {
	applied := r.Status.At(StepApplied)
	verdict, seen, err := a.judge(ctx, r, applied)
	if err != nil {
		return r, err
	}
	services := serviceStatus(seen)
	if verdict.Cause != nil {
		cause := *verdict.Cause
		cause.Log, cause.Events = a.Witness.Testimony(ctx, r, cause)
		if ctx.Err() != nil { // a newer release came: this one is superseded, not red
			return r, ctx.Err()
		}
		r.Status.Services = services
		return a.fail(ctx, r, cause, current(releases))
	}
	next, err := a.advance(ctx, r, func(s *Status) {
		s.Phase, s.Services = Succeeded, services
		s.Reach(StepReady, later(verdict.ReadyAt, applied))
		s.Reach(StepVerdict, a.now())
		s.Message = fmt.Sprintf("Live in %s", s.At(StepVerdict).Sub(s.At(StepNoticed)).Round(100*time.Millisecond))
	})
	return next, err
}

// judge calls Judge on every observation, and again when a symptom's time is up.
func (a *Agent) judge(ctx context.Context, r Release, applied time.Time) (Verdict, Observation, error) {
	ctx, cancel := context.WithTimeout(ctx, deadline(r)+observeSlack)
	defer cancel()
	observations := make(chan Observation)
	ended := make(chan error, 1)
	go func() {
		ended <- a.Cluster.Watch(ctx, r, func(o Observation) bool {
			select {
			case observations <- o:
				return false
			case <-ctx.Done():
				return true
			}
		})
	}()
	var seen Observation
	var before memory
	var recheck <-chan time.Time
	for {
		select {
		case err := <-ended:
			if err == nil {
				err = ctx.Err()
			}
			return Verdict{}, seen, fmt.Errorf("watching release %d of %s: %w", r.Number, r.Line, err)
		case seen = <-observations:
			before.fill(seen, a.now())
		case <-recheck:
		}
		now := a.now()
		verdict := Judge(r, seen, applied, now)
		if verdict.Done {
			cancel()
			<-ended //nolint:errcheck // because the watch was cancelled: the verdict is what counts
			return verdict, seen, nil
		}
		recheck = nil
		if !verdict.Recheck.IsZero() {
			recheck = time.After(max(verdict.Recheck.Sub(now), time.Millisecond))
		}
	}
}

// fail makes the cause durable before anything is put back.
func (a *Agent) fail(ctx context.Context, r Release, cause Cause, good *Release) (Release, error) {
	services := r.Status.Services
	return a.advance(ctx, r, func(s *Status) {
		s.Phase, s.Cause, s.Message, s.Services = Failed, &cause, "Failed: "+cause.Message, services
		if good != nil {
			s.Phase = Restoring
		}
		s.Reach(StepVerdict, a.now())
	})
}

// restore puts the last good release's objects back, whatever r wrote itself: an
// interrupted try, or a release that it superseded, may have written something
// too. Old pods serve until new ones are Ready, so there is no rollout to wait
// for.
func (a *Agent) restore(ctx context.Context, r Release, releases []Release) (Release, error) {
	good := current(releases)
	if good == nil {
		return a.advance(ctx, r, func(s *Status) { s.Phase = Failed })
	}
	applyCtx, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	_, err := a.Cluster.Apply(applyCtx, *good)
	rejected := (*Rejected)(nil)
	switch {
	case err == nil:
		return a.advance(ctx, r, func(s *Status) { s.Phase, s.RestoredTo = RolledBack, good.Number })
	case errors.As(err, &rejected), ctx.Err() == nil && a.givesUp(r, r.Status.At(StepVerdict)):
		return a.advance(ctx, r, func(s *Status) {
			s.Phase = Failed
			if s.Cause != nil {
				cause := *s.Cause
				cause.Message += fmt.Sprintf("; putting release %d back failed too: %v", good.Number, err)
				s.Cause = &cause
			}
		})
	}
	return r, fmt.Errorf("putting release %d of %s back: %w", good.Number, r.Line, err)
}

// deployed is the commit whose code r runs: of a rollback by number, that of the
// release which it brings back, if that is kept.
func (r Release) deployed(releases []Release) string {
	for _, old := range releases {
		if old.Number == r.Restore && old.Number < r.Number {
			return old.deployed(releases)
		}
	}
	return r.Source.Commit
}

// current is the release whose objects serve: the newest that succeeded, or the
// one that a failed newer one was rolled back to. nil before the first success.
func current(releases []Release) *Release {
	for i := len(releases) - 1; i >= 0; i-- {
		if releases[i].Status.Phase == Succeeded {
			return &releases[i]
		}
	}
	return nil
}

func serviceStatus(o Observation) []ServiceStatus {
	statuses := make([]ServiceStatus, 0, len(o.Services))
	for _, s := range o.Services {
		status := ServiceStatus{Name: s.Name, Desired: s.Desired}
		for _, pod := range s.Pods {
			if pod.Ready {
				status.Ready++
			}
			for _, c := range pod.Containers {
				status.Restarts += c.Restarts
			}
		}
		statuses = append(statuses, status)
	}
	return statuses
}

// short is a commit as people write it.
func short(commit string) string { return commit[:min(len(commit), 7)] }
