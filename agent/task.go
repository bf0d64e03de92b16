package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/inhaul/inhaul/spec"
)

// TaskKind is which command of an app beside its services is meant, as inhaul.yaml
// calls it.
type TaskKind string

// The kinds. They are in names and labels of what is made in clusters.
const (
	TaskPredeploy TaskKind = "predeploy" // before the objects of a release are written
	TaskSeed      TaskKind = "seed"      // once in a preview, before anything of the app runs
	TaskTeardown  TaskKind = "teardown"  // before a preview goes
)

// TaskKinds returns every kind.
func TaskKinds() []TaskKind { return []TaskKind{TaskPredeploy, TaskSeed, TaskTeardown} }

// Of is the task of that kind that an app has; nil if it has none.
func (k TaskKind) Of(a spec.App) *spec.Task {
	switch k {
	case TaskPredeploy:
		return a.Predeploy
	case TaskSeed:
		return a.Seed
	case TaskTeardown:
		return a.Teardown
	}
	return nil
}

// failure is why a release fails whose command of that kind does.
func (k TaskKind) failure() CauseKind {
	switch k {
	case TaskSeed:
		return CauseSeed
	case TaskTeardown:
		return CauseTeardown
	case TaskPredeploy:
	}
	return CausePredeploy
}

// Tasks runs the commands of apps that are no services.
type Tasks interface {
	// StartTask makes sure that the Job of r's task is there, and the configuration
	// that it needs before it. It is made at most once: for each release a predeploy,
	// for each preview a seed and a teardown. Of a seed it may be the Job of an earlier
	// release; one that failed is replaced. The objects go into the inventory. A
	// *Rejected error says that there is and will be no Job; ErrForeign, that the
	// namespace of a teardown is not the preview's.
	StartTask(ctx context.Context, r Release, kind TaskKind) ([]Object, error)
	// WatchTask calls see with how the Job goes, at once and then on every change,
	// until see returns true or ctx ends.
	WatchTask(ctx context.Context, r Release, kind TaskKind, see func(PredeployObservation) bool) error
}

// taskEndTime is how long a Job that fails by itself may take to end its pod; more
// than any grace period that is not meant to block a deploy.
const taskEndTime = time.Minute

// stage is a phase of a release in which a command runs.
type stage struct {
	kind  TaskKind
	phase Phase
	made  Step // its Job was made
	ended Step // the command ended well
}

// stages are those of a release, in order.
func stages() []stage {
	return []stage{
		{TaskPredeploy, Predeploying, StepPredeploying, StepPredeployed},
		{TaskSeed, Seeding, StepSeeding, StepSeeded},
	}
}

// stage is the one that r is in; false if its phase is none.
func (r Release) stage() (stage, bool) {
	for _, s := range stages() {
		if s.phase == r.Status.Phase {
			return s, true
		}
	}
	return stage{}, false
}

// amid reports whether a command of r was begun and has not ended well.
func (r Release) amid() bool {
	return slices.ContainsFunc(stages(), func(s stage) bool { return !r.Status.At(s.made).IsZero() && r.Status.At(s.ended).IsZero() })
}

// runTask returns once the command of a stage has ended or cannot begin any more;
// the cause is nil if it ended well, and log is what it said then.
func (a *Agent) runTask(ctx context.Context, r Release, s stage) (after Release, cause *Cause, log string, err error) {
	r, refused, err := a.startTask(ctx, r, s)
	if err != nil || refused != nil {
		return r, refused, "", err
	}
	if r.Status.Cause == nil { // else another agent came this far
		verdict, seen, err := a.watchTask(ctx, r, s.kind, r.Status.At(s.made))
		if err != nil {
			return r, nil, "", err
		}
		said := a.Witness.Testimony(ctx, r, taskSaid(verdict, seen))
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
	return r, r.Status.Cause, "", a.endTask(ctx, r, s.kind)
}

// taskSaid is the verdict's cause; of a command that ended well, one that names
// nothing but whose log to read.
func taskSaid(verdict Verdict, seen PredeployObservation) Cause {
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

// startTask makes the Job unless it was made before, whatever has become of it
// since.
func (a *Agent) startTask(ctx context.Context, r Release, s stage) (Release, *Cause, error) {
	if !r.Status.At(s.made).IsZero() {
		return r, nil, nil
	}
	startCtx, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	inventory, err := a.Tasks.StartTask(startCtx, r, s.kind)
	if rejected := (*Rejected)(nil); errors.As(err, &rejected) {
		return r, r.refused(rejected), nil
	}
	if err != nil && ctx.Err() == nil && a.givesUp(r, r.Status.last()) {
		return r, &Cause{
			Kind: CauseNoProgress, Message: fmt.Sprintf("%s: it could not be started within %s: %v", s.kind, applyDeadline, err),
			Next: "ask the platform owner about the API server, its admission webhooks and the agent's rights, then run the workflow again",
		}, nil
	}
	if err != nil {
		return r, nil, fmt.Errorf("starting the %s of release %d of %s: %w", s.kind, r.Number, r.Line, err)
	}
	r, err = a.advance(ctx, r, func(status *Status) {
		status.Inventory = union(status.Inventory, inventory)
		status.Reach(s.made, a.now())
	})
	return r, nil, err
}

// watchTask watches a command that was started then until it is certain how it
// ends, and returns what was seen last.
func (a *Agent) watchTask(ctx context.Context, r Release, kind TaskKind, started time.Time) (Verdict, PredeployObservation, error) {
	since := Sightings{Started: started}
	var before memory
	return a.followTask(ctx, r, kind, func(o PredeployObservation, now time.Time) Verdict {
		since.Note(o, now)
		judge := func() Verdict {
			before.add(o.Pods)
			o.Evidence = before.evidence[o.Name]
			return JudgeTask(kind, *kind.Of(r.App), o, since, now)
		}
		verdict := judge()
		if before.ask(ctx, a.Witness, r, verdict.Ask, now) {
			verdict = judge()
		}
		return verdict
	})
}

// endTask returns once no pod of a failed command can do anything any more: a Job
// that fails by itself, or that somebody deleted, ends its pod; any other one is
// deleted.
func (a *Agent) endTask(ctx context.Context, r Release, kind TaskKind) error {
	var until time.Time
	_, seen, err := a.followTask(ctx, r, kind, func(o PredeployObservation, now time.Time) Verdict {
		if until.IsZero() {
			until = now.Add(taskEndTime)
		}
		ending := o.Reason != "" || o.Missing
		return Verdict{Done: o.ended() || !ending || !now.Before(until), Recheck: until}
	})
	if err != nil || seen.ended() {
		return err
	}
	job := slices.DeleteFunc(slices.Clone(r.Status.Inventory), func(o Object) bool { return !o.isJob() || o.Name != seen.Name })
	left, err := a.Cleaner.Prune(ctx, r, job, nil)
	if err == nil && len(left) > 0 {
		err = errors.New("its Job is not gone yet")
	}
	if err != nil {
		return fmt.Errorf("stopping the %s of release %d of %s: %w", kind, r.Number, r.Line, err)
	}
	return nil
}

func (a *Agent) followTask(ctx context.Context, r Release, kind TaskKind, judge func(PredeployObservation, time.Time) Verdict) (Verdict, PredeployObservation, error) {
	watch := func(ctx context.Context, see func(PredeployObservation) bool) error {
		return a.Tasks.WatchTask(ctx, r, kind, see)
	}
	verdict, seen, err := follow(ctx, a.config.Now, watch, judge)
	if err != nil {
		err = fmt.Errorf("watching the %s of release %d of %s: %w", kind, r.Number, r.Line, err)
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
