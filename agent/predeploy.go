package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// predeployEndTime is how long a Job that fails by itself may take to end its
// pod; more than any grace period that is not meant to block a deploy.
const predeployEndTime = time.Minute

// predeploys reports whether the release has a predeploy command to run. A
// rollback brings back what ran before, so it has none unless told otherwise.
func (r Release) predeploys() bool {
	task := r.App.Predeploy
	return task != nil && (r.Reason != ReasonRollback || task.OnRollback)
}

// predeploy runs the release's predeploy command and takes the release to what
// follows from its end. Nothing of the app has changed until then.
//
// The command runs at most once per release, and exactly once if nobody meddles:
//
//  1. Phase Predeploying is durable before the Job is made.
//  2. The Job's name is derived from the release and it is created, never
//     applied: the API server takes one of that name, whoever asks how often.
//  3. That it was made, with the inventory, is durable before it is watched
//     (StepPredeploying). From then on it is never made again: a Job that is gone
//     fails the release.
//
// What is left is a Job that somebody deletes after 2 while the agent dies
// before 3: it cannot be told from one that was never made, and is made anew.
//
// A newer release does not cut it short. It waits until this one's Job has
// ended, however that was, and then takes its place.
func (a *Agent) predeploy(ctx context.Context, r Release) error {
	r, cause, log, err := a.runPredeploy(ctx, r)
	if err != nil {
		return err
	}
	releases := a.Reader.Releases(r.Line) // newer ones may have come meanwhile
	if r.overtaken(releases) {
		return a.supersede(ctx, r, releases)
	}
	if cause != nil {
		return a.fail(ctx, r, *cause, releases)
	}
	return a.move(ctx, r, func(s *Status) {
		s.Phase, s.Message, s.PredeployLog = Applying, "Writing its objects", log
		s.Reach(StepPredeployed, a.now())
	})
}

// overtaken reports whether a line has a release that is newer than r. It may
// have none at all any more: somebody deleted them, or their namespace.
func (r Release) overtaken(releases []Release) bool {
	n := len(releases)
	return n > 0 && releases[n-1].Number > r.Number
}

// runPredeploy returns once the command has ended or cannot begin any more; the
// cause is nil if it ended well, and log is what it said then.
func (a *Agent) runPredeploy(ctx context.Context, r Release) (after Release, cause *Cause, log string, err error) {
	r, refused, err := a.startPredeploy(ctx, r)
	if err != nil || refused != nil {
		return r, refused, "", err
	}
	if r.Status.Cause == nil { // else another agent came this far
		verdict, seen, err := a.watchPredeploy(ctx, r)
		if err != nil {
			return r, nil, "", err
		}
		said := a.Witness.Testimony(ctx, r, predeploySaid(verdict, seen))
		if ctx.Err() != nil {
			return r, nil, "", ctx.Err()
		}
		if verdict.Cause == nil {
			return r, nil, said.Log, nil
		}
		if seen.ended() {
			return r, &said, "", nil
		}
		// Durable first: once the Job is stopped nothing tells the cause any more.
		if r, err = a.advance(ctx, r, func(s *Status) { s.Cause = &said }); err != nil {
			return r, nil, "", err
		}
	}
	return r, r.Status.Cause, "", a.endPredeploy(ctx, r)
}

// predeploySaid is the verdict's cause; of a command that ended well, one that
// names nothing but whose log to read.
func predeploySaid(verdict Verdict, seen PredeployObservation) Cause {
	if verdict.Cause != nil {
		return *verdict.Cause
	}
	var c Cause
	for _, pod := range seen.Pods {
		for _, container := range pod.Containers {
			c.Pod, c.Container = pod.Name, container.Name
		}
	}
	return c
}

// startPredeploy makes the Job unless it was made before, whatever has become of
// it since.
func (a *Agent) startPredeploy(ctx context.Context, r Release) (Release, *Cause, error) {
	if !r.Status.At(StepPredeploying).IsZero() {
		return r, nil, nil
	}
	startCtx, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	inventory, err := a.Predeploys.StartPredeploy(startCtx, r)
	if rejected := (*Rejected)(nil); errors.As(err, &rejected) {
		return r, r.refused(rejected), nil
	}
	if err != nil && ctx.Err() == nil && a.givesUp(r, r.Status.At(StepAdmitted)) {
		return r, &Cause{
			Kind: CauseNoProgress, Message: fmt.Sprintf("predeploy: it could not be started within %s: %v", applyDeadline, err),
			Next: "ask the platform owner about the API server, its admission webhooks and the agent's rights, then run the workflow again",
		}, nil
	}
	if err != nil {
		return r, nil, fmt.Errorf("starting the predeploy of release %d of %s: %w", r.Number, r.Line, err)
	}
	r, err = a.advance(ctx, r, func(s *Status) {
		s.Inventory = union(s.Inventory, inventory)
		s.Reach(StepPredeploying, a.now())
	})
	return r, nil, err
}

// watchPredeploy watches until it is certain how the command ends, and returns
// what was seen last.
func (a *Agent) watchPredeploy(ctx context.Context, r Release) (Verdict, PredeployObservation, error) {
	since := Sightings{Started: r.Status.At(StepPredeploying)}
	var before memory
	return a.followPredeploy(ctx, r, func(o PredeployObservation, now time.Time) Verdict {
		since.Note(o, now)
		judge := func() Verdict {
			before.add(o.Pods)
			o.Evidence = before.evidence[o.Name]
			return JudgePredeploy(*r.App.Predeploy, o, since, now)
		}
		verdict := judge()
		if before.ask(ctx, a.Witness, r, verdict.Ask, now) {
			verdict = judge()
		}
		return verdict
	})
}

// endPredeploy returns once no pod of a failed predeploy can do anything any
// more: a Job that fails by itself, or that somebody deleted, ends its pod; any
// other one is deleted.
func (a *Agent) endPredeploy(ctx context.Context, r Release) error {
	var until time.Time
	_, seen, err := a.followPredeploy(ctx, r, func(o PredeployObservation, now time.Time) Verdict {
		if until.IsZero() {
			until = now.Add(predeployEndTime)
		}
		ending := o.Reason != "" || o.Missing
		return Verdict{Done: o.ended() || !ending || !now.Before(until), Recheck: until}
	})
	if err != nil || seen.ended() {
		return err
	}
	job := slices.DeleteFunc(slices.Clone(r.Status.Inventory), func(o Object) bool { return !o.isJob() })
	left, err := a.Cleaner.Prune(ctx, r, job, nil)
	if err == nil && len(left) > 0 {
		err = errors.New("its Job is not gone yet")
	}
	if err != nil {
		return fmt.Errorf("stopping the predeploy of release %d of %s: %w", r.Number, r.Line, err)
	}
	return nil
}

func (a *Agent) followPredeploy(ctx context.Context, r Release, judge func(PredeployObservation, time.Time) Verdict) (Verdict, PredeployObservation, error) {
	watch := func(ctx context.Context, see func(PredeployObservation) bool) error {
		return a.Predeploys.WatchPredeploy(ctx, r, see)
	}
	verdict, seen, err := follow(ctx, a.config.Now, watch, judge)
	if err != nil {
		err = fmt.Errorf("watching the predeploy of release %d of %s: %w", r.Number, r.Line, err)
	}
	return verdict, seen, err
}

// refused is the cause when the cluster does not take what r needs. The try that
// was refused has written nothing.
func (r Release) refused(by *Rejected) *Cause {
	if by.Object.Kind == "Secret" {
		return &Cause{
			Kind: CauseSecret, Setting: by.Setting, Message: by.Message,
			Next: fmt.Sprintf("put the Secret and its key in place in namespace %s, or mend the reference in inhaul.yaml; then re-run the workflow", r.Namespace),
		}
	}
	kind, next := refusedBy(by.Message)
	return &Cause{Kind: kind, Setting: by.Setting, Message: "the cluster refuses " + by.Object.Kind + " " + by.Object.Name + ": " + by.Message, Next: next}
}

// union is all, and what of more is not in it.
func union(all, more []Object) []Object {
	all = slices.Clone(all)
	for _, object := range more {
		if !slices.Contains(all, object) {
			all = append(all, object)
		}
	}
	return all
}
