package agent

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/inhaul/inhaul/spec"
)

func TestWhatAPredeploySaidIsKept(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		ended := predeployed()
		ended.Pods = []PodObservation{{Name: "predeploy-x", Containers: []ContainerObservation{{Name: "predeploy", Ended: 1, EndReason: "Completed"}}}}
		r := deployTask(t, w, task{end: ended})
		if r.Status.Phase != Succeeded || r.Status.PredeployLog != "cannot reach the database" || r.Status.Cause != nil {
			t.Fatalf("got %+v, want it live, with what its predeploy said", r.Status)
		}
		text := r.check(view{}).Text
		if !strings.Contains(text, "which ended well</summary>\n\n```\ncannot reach the database\n```") {
			t.Errorf("got check %q, want the log in it", text)
		}
	})
}

// TestACancelledPredeployFailsAtOnce is about a Job that somebody deletes: the API
// server's word counts at once, and the release goes on once no pod is left.
func TestACancelledPredeployFailsAtOnce(t *testing.T) {
	t.Parallel()
	const takes = 3 * time.Second
	for _, test := range []struct {
		name   string
		unread bool
		ending time.Duration // of its pod
		red    time.Duration
	}{
		{"its pod is gone with it", false, 0, takes},
		{"its pod takes its time", false, 20 * time.Second, takes + 20*time.Second},
		{"its pod never ends", false, time.Hour, takes + taskEndTime},
		{"the API server does not answer", true, 0, takes + jobGoneAfter},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.silent = test.unread
				v1, v2 := push(1, 0, 1), pushTask(2, 2, 3)
				w.tasks[v2.image()] = task{takes: takes, vanish: true, ending: test.ending}
				w.publish(t, v1)
				w.run()
				w.publish(t, v2)
				w.runUntil(w.now().Add(5*time.Minute), nil)
				r := w.releases[1]
				if r.Status.Phase != RolledBack || r.Status.Cause.Kind != CausePredeploy || !strings.Contains(r.Status.Cause.Message, "cancelled") {
					t.Fatalf("got %+v, want it cancelled", r.Status)
				}
				if took := r.Status.At(StepVerdict).Sub(r.Status.At(StepPredeploying)); took < test.red || took > test.red+2*time.Second {
					t.Errorf("got it failed after %s, want %s", took, test.red)
				}
			})
		})
	}
}

// TestJudgeACancelledPredeploy is about the moment of certainty.
func TestJudgeACancelledPredeploy(t *testing.T) {
	t.Parallel()
	since := Sightings{Started: noon(), Quiet: after(time.Second)}
	gone := PredeployObservation{Name: "predeploy", Missing: true}
	if got := JudgeTask(TaskPredeploy, spec.Task{}, gone, since, after(2*time.Second)); got.Done || len(got.Ask) != 1 || !got.Ask[0].Job {
		t.Errorf("a cache alone says so: got %+v, want a question", got)
	}
	gone.Evidence = &Evidence{At: after(2 * time.Second)}
	if got := JudgeTask(TaskPredeploy, spec.Task{}, gone, since, after(2*time.Second)); got.Done || len(got.Ask) != 0 {
		t.Errorf("the API server still has it: got %+v, want neither verdict nor question", got)
	}
	gone.Evidence = &Evidence{At: after(2 * time.Second), Missing: true}
	if got := JudgeTask(TaskPredeploy, spec.Task{}, gone, since, after(2*time.Second)); !got.Done || got.Cause == nil {
		t.Errorf("the API server says so: got %+v, want it failed", got)
	}
}

// TestCancellingWithADeathInEveryCall kills the agent in every call of a release
// whose predeploy is cancelled.
func TestCancellingWithADeathInEveryCall(t *testing.T) {
	t.Parallel()
	cancelled := func(t *testing.T, w *world) map[string]string {
		t.Helper()
		v1, v2 := push(1, 0, 1), pushTask(2, 2, 3)
		w.tasks[v2.image()] = task{takes: 3 * time.Second, vanish: true, ending: 5 * time.Second}
		w.tell(t, v1, v2)
		return nil
	}
	dieInEveryCall(t, cancelled, func(t *testing.T, w *world, _ map[string]string) {
		t.Helper()
		got := w.releases[1].Status
		if got.Phase != RolledBack || got.Cause == nil || got.Cause.Kind != CausePredeploy || w.jobs[2].made != 1 {
			t.Errorf("got %s with %+v, Job made %d times; want it cancelled, and made once", got.Phase, got.Cause, w.jobs[2].made)
		}
	})
}
