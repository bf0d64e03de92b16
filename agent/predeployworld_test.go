package agent

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/inhaul/inhaul/intent"
	"github.com/inhaul/inhaul/spec"
)

// task is how a predeploy goes in the world: after some time its Job shows end.
type task struct {
	takes   time.Duration
	end     PredeployObservation
	refused *Rejected
	trouble error         // at every try to make its Job
	vanish  bool          // its Job is deleted in the place of the end
	ending  time.Duration // of the pod of a Job that was deleted
	made    func()        // called once, when its Job is made
}

// job is a predeploy's Job.
type job struct {
	object Object
	made   int
	at     time.Time
	of     int  // the release that made it
	gone   bool // deleted by the agent
	task   task
}

// jobOf is the Job of r's task, by the name that it has here. It needs the lock.
func (w *world) jobOf(r Release, kind TaskKind) *job {
	if kind == TaskSeed || kind == TaskTeardown {
		return w.chores[r.Namespace+" "+string(kind)]
	}
	return w.jobs[r.Number]
}

func (w *world) StartTask(ctx context.Context, r Release, kind TaskKind) (inventory []Object, err error) {
	err = w.call(ctx, func() error {
		if w.onTask != nil {
			if err := w.onTask(r, kind); err != nil {
				return err
			}
		}
		if kind != TaskPredeploy {
			j, err := w.startChore(r, kind)
			inventory = append(inventory, j.object)
			return err
		}
		task := w.tasks[r.Image]
		if task.refused != nil {
			return task.refused
		}
		if task.trouble != nil {
			return task.trouble
		}
		j := w.jobs[r.Number]
		if j == nil {
			j = &job{object: Object{Kind: "Job", Name: fmt.Sprintf("predeploy-%d", r.Number)}, task: task}
			w.jobs[r.Number] = j
		}
		if j.at.IsZero() || j.gone {
			j.made, j.at, j.gone = j.made+1, time.Now(), false
			if task.made != nil {
				task.made()
			}
		}
		inventory = []Object{{Kind: "ConfigMap", Name: "predeploy-" + r.Intent[:12]}, j.object}
		return nil
	})
	return inventory, err
}

// startChore makes the Job of a seed or a teardown as a cluster would, of which there
// is one per namespace. It needs the lock.
func (w *world) startChore(r Release, kind TaskKind) (*job, error) {
	key := r.Namespace + " " + string(kind)
	j := w.chores[key]
	if j != nil && !j.gone {
		switch o := j.observe(); {
		case j.of == r.Number || kind == TaskTeardown || o.Succeeded:
			return j, nil
		case !o.Failed:
			return j, errors.New("the seed of an earlier release has not ended yet")
		}
	}
	j = &job{object: Object{Kind: "Job", Name: string(kind)}, task: w.tasks[string(kind)+" "+r.Image], at: time.Now(), of: r.Number, made: 1}
	w.chores[key] = j
	w.ran = append(w.ran, fmt.Sprintf("%s %d", kind, r.Number))
	if j.task.made != nil {
		j.task.made()
	}
	return j, nil
}

func (w *world) WatchTask(ctx context.Context, r Release, kind TaskKind, see func(PredeployObservation) bool) error {
	for {
		var o PredeployObservation
		if err := w.call(ctx, func() error {
			j := w.jobOf(r, kind)
			o = j.observe()
			if j != nil {
				o.Name = j.object.Name
			}
			return nil
		}); err != nil {
			return err
		}
		if see(o) {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Second):
		}
	}
}

// observe needs the lock.
func (j *job) observe() PredeployObservation {
	switch {
	case j == nil || j.gone:
		return PredeployObservation{Missing: true}
	case time.Since(j.at) < j.task.takes:
		return PredeployObservation{Pods: []PodObservation{{Name: "predeploy", Containers: []ContainerObservation{{Name: "predeploy", Running: true}}}}}
	case j.task.vanish && time.Since(j.at) < j.task.takes+j.task.ending:
		return PredeployObservation{Missing: true, Pods: []PodObservation{{Name: "predeploy", Deleting: true}}}
	case j.task.vanish:
		return PredeployObservation{Missing: true}
	}
	return j.task.end
}

// lunch is when the first agent in a world starts.
func lunch() time.Time { return noon().Add(time.Hour) }

func predeployed() PredeployObservation { return PredeployObservation{Succeeded: true} }

// exited is a Job whose command ended with that exit code.
func exited(code int) PredeployObservation {
	return PredeployObservation{Failed: true, Reason: "BackoffLimitExceeded", Pods: []PodObservation{exitedPod(code)}}
}

func exitedPod(code int) PodObservation {
	return PodObservation{Name: "predeploy-x", Containers: []ContainerObservation{{Name: "predeploy", Ended: 1, ExitCode: code, EndReason: "Error"}}}
}

// pushTask is a push whose app has a predeploy.
func pushTask(n int64, eventAt, issuedAt int, more ...func(*spec.Task)) run {
	r := push(n, eventAt, issuedAt)
	r.change = func(p *intent.Predicate) {
		p.Spec.Predeploy = &spec.Task{Run: spec.Command{Shell: "bin/migrate"}, CPU: "100m", Memory: "64Mi"}
		for _, change := range more {
			change(p.Spec.Predeploy)
		}
	}
	return r
}

// prepared is publish for later; what it returns is called under the lock.
func (w *world) prepared(tb testing.TB, r run) func() {
	tb.Helper()
	return w.preparedFor(tb, r, "production")
}

func (w *world) preparedFor(tb testing.TB, r run, environment string) func() {
	tb.Helper()
	data, digest := envelope(tb, r)
	return func() {
		tag := fmt.Sprintf("prepared %d", r.id)
		w.envelopes[tag] = data
		w.notices = append(w.notices, Notice{Tag: tag, Environment: environment, IssuedAt: r.issuedAt, DigestPrefix: prefix(digest)})
	}
}
