package agent

import (
	"context"
	"fmt"

	"github.com/inhaul/inhaul/spec"
)

// predeploys reports whether the release has a predeploy command to run. A
// rollback brings back what ran before, so it has none unless told otherwise.
func (r Release) predeploys() bool {
	task := r.App.Predeploy
	return task != nil && (r.Reason != ReasonRollback || task.OnRollback)
}

// previews reports whether r is of the environment of a pull request.
func (r Release) previews() bool {
	_, is := spec.PreviewNumber(r.Line.Environment)
	return is
}

// seeds reports whether r is to run its seed command: nothing has seeded its preview
// yet. A rollback brings back what ran before, on what was there then.
func (a *Agent) seeds(r Release) bool {
	if r.App.Seed == nil || r.Reason == ReasonRollback || !r.previews() {
		return false
	}
	p, found := a.Records.Preview(r.Line)
	return found && p.SeededAt.IsZero()
}

// next is the phase that follows one of r, up to Applying. Every release passes those
// that it has something to do in:
//
//	Provisioning -> Predeploying -> Seeding -> Applying
func (a *Agent) next(r Release, phase Phase) Phase {
	switch {
	case phase == Seeding:
		return Applying
	case (phase == Pending || phase == "") && a.provisions(r):
		return Provisioning
	case phase != Predeploying && r.predeploys():
		return Predeploying
	case a.seeds(r):
		return Seeding
	}
	return Applying
}

// begins is the message of a release that enters the phase.
func (p Phase) begins() string {
	switch p {
	case Provisioning:
		return "Starting its databases"
	case Predeploying:
		return "Running its predeploy command"
	case Seeding:
		return "Running its seed command"
	case Applying:
		return "Writing its objects"
	case RollingOut:
		return waitsForPods
	case Pending, Restoring, Succeeded, Failed, RolledBack, Superseded:
	}
	return ""
}

// runStage runs the command of the phase that r is in, its predeploy or its seed, and
// takes the release to what follows from its end. Nothing of the app has changed until
// then.
//
// A predeploy runs at most once per release, and exactly once if nobody meddles:
//
//  1. Its phase is durable before the Job is made.
//  2. The Job's name is derived from the release and it is created, never
//     applied: the API server takes one of that name, whoever asks how often.
//  3. That it was made, with the inventory, is durable before it is watched
//     (its stage's step). From then on it is never made again: a Job that is gone
//     fails the release.
//
// What is left is a Job that somebody deletes after 2 while the agent dies
// before 3: it cannot be told from one that was never made, and is made anew.
//
// A seed ends well once per preview. Its Job's name is derived from the preview, so
// no two of them are there at the same time, and one that ended well is found
// again by whichever release comes next. That it ended well is durable on the preview
// before the release moves on, and from then on no release has that phase. One that
// failed fails its release; the next one puts its own Job in the place of that one.
//
// A newer release does not cut a command short. It waits until this one's Job has
// ended, however that was, and then takes its place.
func (a *Agent) runStage(ctx context.Context, r Release) error {
	s, _ := r.stage()
	var cause *Cause
	var log string
	var err error
	if s.kind != TaskSeed || a.seeds(r) { // else an agent died after it had said so
		if r, cause, log, err = a.runTask(ctx, r, s); err != nil {
			return err
		}
		if s.kind == TaskSeed && cause == nil {
			if err := a.seeded(ctx, r); err != nil {
				return err
			}
		}
	}
	releases := a.Reader.Releases(r.Line) // newer ones may have come meanwhile
	if r.overtaken(releases) {
		return a.supersede(ctx, r, releases)
	}
	if cause != nil {
		return a.fail(ctx, r, *cause, releases)
	}
	next := a.next(r, s.phase)
	return a.move(ctx, r, func(status *Status) {
		status.Phase, status.Message = next, next.begins()
		status.said(s.kind, log)
		status.Reach(s.ended, a.now())
	})
}

// said keeps the last lines of a command that ended well.
func (s *Status) said(kind TaskKind, log string) {
	switch kind {
	case TaskPredeploy:
		s.PredeployLog = log
	case TaskSeed:
		s.SeedLog = log
	case TaskTeardown:
	}
}

// seeded makes durable that the seed command of r's preview has ended well.
func (a *Agent) seeded(ctx context.Context, r Release) error {
	_, err := a.Previews.KeepPreview(ctx, r.Line, func(p *Preview) error {
		if p.Phase == PreviewActive && p.SeededAt.IsZero() {
			p.SeededAt = a.now()
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("recording that preview %s is seeded: %w", r.Line, err)
	}
	return nil
}

// commands reports whether a command of r runs, which nothing but the end of a preview
// cuts short.
func (r Release) commands() bool {
	_, is := r.stage()
	return is
}

// overtaken reports whether a line has a release that is newer than r. It may
// have none at all any more: somebody deleted them, or their namespace.
func (r Release) overtaken(releases []Release) bool {
	n := len(releases)
	return n > 0 && releases[n-1].Number > r.Number
}
