package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/inhaul/inhaul/spec"
)

const (
	// databasesPatience is how long databases may take to be ready: a node's first pull
	// of an image of some hundred MB, and making a new database.
	databasesPatience = 3 * time.Minute

	// cloneSlack is what the Job of a clone may take beyond its own time, to have its
	// pod made and to be ended.
	cloneSlack = time.Minute
)

// provisions reports whether r has databases that have to be there first. Those of a
// preview alone are the agent's.
func (a *Agent) provisions(r Release) bool {
	return a.Databases != nil && r.previews() && len(r.App.Databases) > 0
}

// provision makes sure that the databases of r are there and ready, and filled by the
// platform owner's command if there is one. All of it may be cut short by a newer
// release, which finds it as it is: credentials and clones are made once.
func (a *Agent) provision(ctx context.Context, r Release, releases []Release) error {
	startCtx, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	inventory, err := a.Databases.StartDatabases(startCtx, r)
	if rejected := (*Rejected)(nil); errors.As(err, &rejected) {
		return a.fail(ctx, r, *r.refused(rejected), releases)
	}
	if err != nil && ctx.Err() == nil && a.givesUp(r, r.Status.last()) {
		return a.fail(ctx, r, Cause{
			Kind: CauseNoProgress, Message: fmt.Sprintf("its databases could not be made within %s: %v", applyDeadline, err),
			Next: "ask the platform owner about the API server, its admission webhooks and the agent's rights, then run the workflow again",
		}, releases)
	}
	if err != nil {
		return fmt.Errorf("starting the databases of release %d of %s: %w", r.Number, r.Line, err)
	}
	if r, err = a.advance(ctx, r, func(s *Status) { s.Inventory = union(s.Inventory, inventory) }); err != nil {
		return err
	}
	verdict, err := a.watchDatabases(ctx, r)
	if err == nil && verdict.Cause == nil && a.clones(r, releases) {
		verdict, err = a.clone(ctx, r)
	}
	if err != nil {
		return err
	}
	if verdict.Cause != nil {
		cause := a.Witness.Testimony(ctx, r, *verdict.Cause)
		if ctx.Err() != nil { // a newer release came: this one is superseded, not red
			return ctx.Err()
		}
		return a.fail(ctx, r, cause, releases)
	}
	next := a.next(r, Provisioning)
	return a.move(ctx, r, func(s *Status) {
		s.Phase, s.Message = next, next.begins()
		s.Reach(StepDatabases, a.now())
	})
}

// watchDatabases watches until every database is ready, or one never will be.
func (a *Agent) watchDatabases(ctx context.Context, r Release) (Verdict, error) {
	var before memory
	watch := func(ctx context.Context, see func([]DatabaseObservation) bool) error {
		return a.Databases.WatchDatabases(ctx, r, see)
	}
	since := r.Status.last()
	verdict, _, err := follow(ctx, a.config.Now, watch, func(all []DatabaseObservation, now time.Time) Verdict {
		o := Observation{}
		for _, d := range all {
			o.Services = append(o.Services, ServiceObservation{Name: d.Name, Pods: d.Pods})
		}
		before.fill(o, now)
		verdict := JudgeDatabases(all, since, before.began, now)
		if before.ask(ctx, a.Witness, r, verdict.Ask, now) {
			before.fill(o, now)
			verdict = JudgeDatabases(all, since, before.began, now)
		}
		return verdict
	})
	if err != nil {
		err = fmt.Errorf("watching the databases of release %d of %s: %w", r.Number, r.Line, err)
	}
	return verdict, err
}

// JudgeDatabases says what an observation of databases means that were asked for at
// since, and first looked at then. It is pure: now is when the observation was made.
func JudgeDatabases(all []DatabaseObservation, since, looked, now time.Time) Verdict {
	verdict := Verdict{Done: true}
	for _, d := range all {
		if d.Ready {
			continue
		}
		verdict.Done = false
		t := trial{service: spec.Service{Name: "database " + d.Name}, since: since, now: now, verdict: &verdict}
		if cause := t.databaseCause(d, looked); cause != nil {
			cause.Service, cause.Setting = "", "databases."+d.Name
			return verdict.failed(*cause)
		}
	}
	return verdict
}

// databaseCause returns why a database that is not ready will not be; nil while it may.
func (t trial) databaseCause(d DatabaseObservation, looked time.Time) *Cause {
	const owner = "ask the platform owner: what databases are made of is in spec.previews.databases of the App"
	for _, pod := range d.Pods {
		if pod.Deleting {
			continue
		}
		for _, container := range pod.Containers {
			if cause := t.certain(t.containerCause(pod, container)); cause != nil {
				cause.Next = owner
				return cause
			}
		}
		if cause := t.unschedulableCause(pod); cause != nil {
			return cause
		}
	}
	// The time of the first look proves little: the clock may have been set since.
	if t.waitUntil(later(t.since.Add(databasesPatience), looked.Add(uncertainFor))) {
		return nil
	}
	cause := t.cause(CauseNotReady, fmt.Sprintf("not ready within %s", databasesPatience), owner+"; run the workflow again if its node was only slow")
	if len(d.Pods) == 0 {
		cause.Message += ": no pod was made"
		return cause
	}
	cause.Pod = d.Pods[0].Name
	for _, container := range d.Pods[0].Containers {
		cause.Container = container.Name
	}
	return cause
}

// clones reports whether the databases of r are yet to be filled from others. What has
// served is never filled again: people have worked with it.
func (a *Agent) clones(r Release, releases []Release) bool {
	app, found := a.app(r.Line.App)
	if a.Clones == nil || !found || app.PreviewPolicy == nil || app.PreviewPolicy.Clone == nil || r.Reason == ReasonRollback {
		return false
	}
	p, found := a.Records.Preview(r.Line)
	served := current(releases) != nil || p.Marks.Current != 0
	return found && p.SeededAt.IsZero() && !served
}

// clone fills every database of r, one after the other.
func (a *Agent) clone(ctx context.Context, r Release) (Verdict, error) {
	app, _ := a.app(r.Line.App)
	task := spec.Task{Timeout: app.PreviewPolicy.cloneTimeout().String()}
	for _, d := range r.App.Databases {
		startCtx, cancel := context.WithTimeout(ctx, applyTimeout)
		err := a.Clones.StartClone(startCtx, r, d)
		cancel()
		if rejected := (*Rejected)(nil); errors.As(err, &rejected) {
			return Verdict{Done: true, Cause: r.refused(rejected)}, nil
		}
		if err != nil {
			return Verdict{}, fmt.Errorf("filling database %q of release %d of %s: %w", d.Name, r.Number, r.Line, err)
		}
		since := Sightings{Started: a.now()}
		watch := func(ctx context.Context, see func(PredeployObservation) bool) error {
			return a.Clones.WatchClone(ctx, r, d, see)
		}
		verdict, _, err := follow(ctx, a.config.Now, watch, func(o PredeployObservation, now time.Time) Verdict {
			since.Note(o, now)
			verdict := JudgeTask(TaskKind("clone of "+d.Name), task, o, since, now)
			verdict.Ask = nil // it is in another namespace
			return verdict
		})
		if err != nil {
			return Verdict{}, fmt.Errorf("watching how database %q of release %d of %s is filled: %w", d.Name, r.Number, r.Line, err)
		}
		if verdict.Cause != nil {
			verdict.Cause.Setting, verdict.Cause.Pod, verdict.Cause.Container = "databases."+d.Name, "", "" // a log of the platform owner's
			verdict.Cause.Next = "ask the platform owner: the command is spec.previews.clone of the App, and what it said is in its own namespace"
			return verdict, nil
		}
	}
	return Verdict{Done: true}, nil
}

// cloneTimeout is how long one clone may take.
func (p PreviewPolicy) cloneTimeout() time.Duration {
	if p.Clone == nil || p.Clone.Timeout == 0 {
		return spec.DefaultTaskTimeout
	}
	return p.Clone.Timeout + cloneSlack
}
