package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// fail makes the cause durable before anything is put back. Nothing is if what is
// there is to be looked at: what r wrote, or what an older release left that failed,
// as long as r has written nothing over it.
func (a *Agent) fail(ctx context.Context, r Release, cause Cause, releases []Release) error {
	services := r.Status.Services
	before := left(slices.DeleteFunc(slices.Clone(releases), func(other Release) bool { return other.Number >= r.Number }))
	return a.move(ctx, r, func(s *Status) {
		s.Phase, s.Cause, s.Message, s.Services = Failed, &cause, "Failed: "+cause.Message, services
		failed := Release{App: r.App, Status: *s}
		stays := failed.keepsObjects() || !failed.wrote() && before != nil && before.leftAsItFailed()
		if current(releases) != nil && !stays {
			s.Phase = Restoring
		}
		s.Reach(StepVerdict, a.now())
	})
}

// keepsObjects reports whether the objects of r stay if it fails, instead of the
// last good release being put back: its app says so, and they were written.
func (r Release) keepsObjects() bool { return r.App.KeepFailed && !r.Status.At(StepApplied).IsZero() }

// leftAsItFailed reports whether r has failed and its objects are still there.
func (r Release) leftAsItFailed() bool { return r.Status.Phase == Failed && r.keepsObjects() }

// left is the failed release whose objects are in the cluster still: its app says
// so, or nothing could be put back, and no newer one has written over them. nil if
// there is none.
func left(releases []Release) *Release {
	for i := len(releases) - 1; i >= 0; i-- {
		switch r := releases[i]; {
		case r.Status.Phase == Failed && r.wrote():
			return &releases[i]
		case r.Status.Phase == Failed, r.Status.Phase == Superseded && !r.began():
		default:
			return nil
		}
	}
	return nil
}

// began reports whether a release that was superseded may have written objects of
// the app: it knew which, and what comes before them was done.
func (r Release) began() bool {
	predeployed := !r.predeploys() || !r.Status.At(StepPredeployed).IsZero()
	return len(r.Status.Inventory) > 0 && predeployed && !r.amid() && !r.unprovided()
}

// unprovided reports whether a release of a preview ended before its databases were
// ready.
func (r Release) unprovided() bool {
	return r.previews() && len(r.App.Databases) > 0 && r.Status.At(StepDatabases).IsZero() && r.Status.At(StepApplied).IsZero()
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

// restore puts the last good release's objects back, whatever r wrote itself: an
// interrupted try, or a release that it superseded, may have written something
// too. Old pods serve until new ones are Ready, so there is no rollout to wait
// for.
func (a *Agent) restore(ctx context.Context, r Release, releases []Release) error {
	good := current(releases)
	if good == nil {
		return a.move(ctx, r, func(s *Status) { s.Phase = Failed })
	}
	applyCtx, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	_, err := a.Cluster.Apply(applyCtx, *good)
	if err == nil {
		return a.move(ctx, r, func(s *Status) {
			s.Phase, s.RestoredTo = RolledBack, good.Number
			s.Reach(StepRestored, a.now())
		})
	}
	why, rejected := err.Error(), (*Rejected)(nil)
	switch {
	case errors.As(err, &rejected): // asking again is of no use
		why = good.refused(rejected).Message
	case ctx.Err() != nil || !a.givesUp(r, r.Status.At(StepVerdict)):
		return fmt.Errorf("putting release %d of %s back: %w", good.Number, r.Line, err)
	}
	return a.move(ctx, r, func(s *Status) {
		s.Phase = Failed
		if s.Cause != nil {
			cause := *s.Cause
			cause.Message += fmt.Sprintf("; putting release %d back failed too: %s", good.Number, why)
			s.Cause = &cause
		}
	})
}

// bringBack makes r, which is not durable yet, one that runs what old does, which
// is one of releases.
func (r *Release) bringBack(old Release, releases []Release) {
	r.Restore, r.Image, r.App, r.Commit = old.Number, old.Image, old.App, old.deployed(releases)
}

// deployed is the commit whose code r runs: of a rollback to a release, that of
// the release which it brings back.
func (r Release) deployed(releases []Release) string {
	if r.Commit != "" {
		return r.Commit
	}
	for _, old := range releases { // r was admitted by an agent that recorded no commit
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

// replaced is the number of the good release whose place r took, if that is kept:
// 0 while r does not serve, or if it was the first.
func (r Release) replaced(releases []Release) int {
	for _, old := range slices.Backward(releases) {
		if r.Status.Phase == Succeeded && old.Status.Phase == Succeeded && old.Number < r.Number {
			return old.Number
		}
	}
	return 0
}
