package agent

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/inhaul/inhaul/spec"
)

// predeployStory is a good release; one whose predeploy fails; one whose
// predeploy still runs when the next one comes; and a re-run of the first.
func predeployStory(t *testing.T, w *world) map[string]string {
	t.Helper()
	v1, v2, v3, v4 := pushTask(1, 0, 1), pushTask(2, 2, 3), pushTask(3, 4, 5), pushTask(4, 6, 7)
	again := v1
	again.attempt, again.issuedAt = 2, minutes(9)
	w.tasks[v1.image()] = task{takes: 2 * time.Second, end: predeployed()}
	w.tasks[v2.image()] = task{takes: 2 * time.Second, end: exited(1)}
	follow := w.prepared(t, v4)
	w.tasks[v3.image()] = task{takes: 15 * time.Second, end: predeployed(), made: follow}
	w.tasks[v4.image()] = task{takes: 2 * time.Second, end: predeployed()}
	digests := map[string]string{}
	for name, r := range map[string]run{"v1": v1, "v2": v2, "v3": v3, "v4": v4, "again": again} {
		_, digests[name] = envelope(t, r)
	}
	for _, r := range []run{v1, v2, v3, again} {
		w.publish(t, r)
		w.run()
		if w.died() {
			w.run()
		}
	}
	return digests
}

func checkPredeployStory(t *testing.T, w *world, digests map[string]string) {
	t.Helper()
	phases := make([]Phase, 0, len(w.releases))
	for _, r := range w.releases {
		phases = append(phases, r.Status.Phase)
		if r.Status.At(StepReported).IsZero() {
			t.Errorf("release %d was not reported", r.Number)
		}
	}
	if want := []Phase{Succeeded, RolledBack, Superseded, Succeeded, Succeeded}; !slices.Equal(phases, want) {
		t.Fatalf("got releases %v, want %v", phases, want)
	}
	for _, r := range []Release{w.releases[0], w.releases[3]} {
		if s := r.Status; s.At(StepPredeploying).IsZero() || !s.At(StepPredeployed).After(s.At(StepPredeploying)) || s.At(StepApplied).Before(s.At(StepPredeployed)) {
			t.Errorf("got the timeline %v, want the predeploy in it before the objects", s.Timeline)
		}
	}
	for number := 1; number <= 4; number++ {
		if j := w.jobs[number]; j == nil || j.made != 1 {
			t.Errorf("got Job %d made as %+v, want it made once", number, j)
		}
	}
	if w.jobs[5] != nil {
		t.Error("a rollback ran its predeploy")
	}
	if gap := w.jobs[4].at.Sub(w.jobs[3].at); gap < 15*time.Second {
		t.Errorf("the newer predeploy started %s after the older one, want it to wait for its end", gap)
	}
	for _, number := range []int{2, 3} {
		if slices.Contains(w.applied, number) {
			t.Errorf("got %v applied, want nothing of release %d", w.applied, number)
		}
	}
	if got := w.releases[2].Status; got.Cause != nil {
		t.Errorf("got the superseded release as %+v, want no cause", got)
	}
	for _, number := range []int{1, 2, 3, 4} {
		if !w.jobs[number].gone {
			t.Errorf("the Job of release %d is still there", number)
		}
	}
	for name, want := range map[string]Conclusion{"v1": Success, "v2": Failure, "v3": Neutral, "v4": Success, "again": Success} {
		if c := w.checks[digests[name]]; c.Status != Completed || c.Conclusion != want {
			t.Errorf("check of %s: got %s %s (%s), want completed %s", name, c.Status, c.Conclusion, c.Title, want)
		}
	}
	red := w.checks[digests["v2"]]
	if !strings.Contains(red.Title, "predeploy: exit code 1") || !strings.Contains(red.Summary, "This release changed nothing of the app: release 1 goes on serving") || !strings.Contains(red.Text, "cannot reach the database") {
		t.Errorf("got the red check %q %q %q, want exit code, what is left, and the log", red.Title, red.Summary, red.Text)
	}
}

func TestPredeployStory(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		digests := predeployStory(t, w)
		checkPredeployStory(t, w, digests)
		if want := []int{1, 1, 4, 5}; !slices.Equal(w.applied, want) {
			t.Errorf("got releases %v applied, want %v: each once, and the good one again after the failure", w.applied, want)
		}
	})
}

func TestPredeployStoryWithADeathInEveryCall(t *testing.T) {
	t.Parallel()
	dieInEveryCall(t, predeployStory, checkPredeployStory)
}

// deployTask publishes one good release, then one whose predeploy goes like
// that, and returns the second.
func deployTask(t *testing.T, w *world, goes task, more ...func(*spec.Task)) Release {
	t.Helper()
	v1, v2 := push(1, 0, 1), pushTask(2, 2, 3, more...)
	w.tasks[v2.image()] = goes
	for _, r := range []run{v1, v2} {
		w.publish(t, r)
		w.runUntil(w.now().Add(2*settled), nil)
	}
	return w.releases[1]
}

func TestPredeployFailures(t *testing.T) {
	t.Parallel()
	waiting := func(reason string) PredeployObservation {
		return PredeployObservation{Pods: []PodObservation{{Name: "predeploy-x", Containers: []ContainerObservation{{Name: "predeploy", Waiting: reason}}}}}
	}
	running := PredeployObservation{Pods: []PodObservation{{Name: "predeploy-x", Containers: []ContainerObservation{{Name: "predeploy", Running: true}}}}}
	brief := func(task *spec.Task) { task.Timeout = "5s" }
	for _, test := range []struct {
		name    string
		goes    task
		more    []func(*spec.Task)
		kind    CauseKind
		message string
		stopped bool // the agent deletes the Job, which would go on
	}{
		{"the command fails", task{end: exited(3)}, nil, CausePredeploy, "predeploy: exit code 3", false},
		{"a Secret is missing", task{refused: &Rejected{Object: Object{Kind: "Secret", Name: "shop"}, Message: `predeploy: URL: there is no Secret "shop"`}}, nil, CauseSecret, `there is no Secret "shop"`, false},
		{"the Job is refused", task{refused: &Rejected{Object: Object{Kind: "Job", Name: "predeploy"}, Message: "exceeded quota"}}, nil, CauseQuota, "the cluster refuses Job predeploy: exceeded quota", false},
		{"somebody deletes the Job", task{takes: 3 * time.Second, vanish: true}, nil, CausePredeploy, "predeploy: cancelled: somebody deleted its Job", false},
		{"the image cannot be pulled", task{end: waiting("ImagePullBackOff")}, nil, CauseImagePull, "predeploy: the image cannot be pulled", true},
		{"no pod is made", task{end: PredeployObservation{}}, nil, CauseNoProgress, "predeploy: no pod was made within 1m30s", true},
		{"nobody ends a Job that takes too long", task{end: running}, []func(*spec.Task){brief}, CausePredeploy, "predeploy: not done within 5s", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				r := deployTask(t, w, test.goes, test.more...)
				cause := r.Status.Cause
				if r.Status.Phase != RolledBack || r.Status.RestoredTo != 1 || cause == nil {
					t.Fatalf("got %+v, want release 1 to go on", r.Status)
				}
				if cause.Kind != test.kind || !strings.Contains(cause.Message, test.message) || cause.Service != "" || cause.Next == "" {
					t.Errorf("got cause %+v, want %s: %s", *cause, test.kind, test.message)
				}
				if !slices.Equal(w.applied, []int{1, 1}) {
					t.Errorf("got %v applied, want nothing but the first release, once more", w.applied)
				}
				j := w.jobs[2]
				if test.goes.refused == nil && (j.made != 1 || j.gone != test.stopped) {
					t.Errorf("got the Job made %d times, deleted %t; want once, %t", j.made, j.gone, test.stopped)
				}
			})
		})
	}
}

// TestAPredeployIsStoppedWhateverHappens kills the agent in every call of a
// release whose predeploy cannot begin.
func TestAPredeployIsStoppedWhateverHappens(t *testing.T) {
	t.Parallel()
	stuck := func(t *testing.T, w *world) map[string]string {
		t.Helper()
		v1, v2 := push(1, 0, 1), pushTask(2, 2, 3)
		w.tasks[v2.image()] = task{end: PredeployObservation{Pods: []PodObservation{stuckPod("p", ContainerObservation{Waiting: "ErrImagePull", Message: "not found"})}}}
		w.tell(t, v1, v2)
		return nil
	}
	dieInEveryCall(t, stuck, func(t *testing.T, w *world, _ map[string]string) {
		t.Helper()
		got := w.releases[1].Status
		if got.Phase != RolledBack || got.Cause == nil || got.Cause.Kind != CauseImagePull || got.Cause.Log == "" {
			t.Errorf("got %s with %+v, want the first cause and its log", got.Phase, got.Cause)
		}
		if j := w.jobs[2]; !j.gone || j.made != 1 {
			t.Errorf("got the Job made %d times, deleted %t; want it made once and deleted", j.made, j.gone)
		}
	})
}

func TestANewerReleaseInterruptsARolloutButNoPredeploy(t *testing.T) {
	t.Parallel()
	line := Line{App: "storefront", Environment: "production"}
	for _, test := range []struct {
		older, newer Phase
		want         bool
	}{
		{Succeeded, Pending, false},
		{RollingOut, Pending, true},
		{Applying, Pending, true},
		{Predeploying, Pending, false},
		{Superseded, Predeploying, false},
	} {
		w := newWorld(t)
		w.releases = []Release{{Line: line, Number: 1, Status: Status{Phase: test.older}}, {Line: line, Number: 2, Status: Status{Phase: test.newer}}}
		if got := New(Ports{Reader: w}, Config{}).overtaken(line); got != test.want {
			t.Errorf("%s, then %s: got an interrupt %t, want %t", test.older, test.newer, got, test.want)
		}
	}
}

// TestAPredeployThatTakesTooLongEndsBeforeItsVerdict is about the log, which is
// read while the pod is there, and about the lock, which it holds to its end.
func TestAPredeployThatTakesTooLongEndsBeforeItsVerdict(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		ending := PredeployObservation{Reason: reasonDeadline, Pods: []PodObservation{{Name: "predeploy-x", Deleting: true, Containers: []ContainerObservation{{Name: "predeploy", Running: true}}}}}
		goes := task{end: ending}
		goes.made = func() {
			time.AfterFunc(20*time.Second, func() {
				w.mu.Lock()
				defer w.mu.Unlock()
				w.jobs[2].task.end = PredeployObservation{Failed: true, Reason: reasonDeadline}
			})
		}
		r := deployTask(t, w, goes)
		if c := r.Status.Cause; r.Status.Phase != RolledBack || c == nil || c.Message != "predeploy: not done within 10m0s" || c.Pod != "predeploy-x" || c.Log == "" {
			t.Fatalf("got %s with %+v, want the pod's log", r.Status.Phase, c)
		}
		if took := r.Status.At(StepVerdict).Sub(r.Status.At(StepPredeploying)); took < 20*time.Second {
			t.Errorf("got a verdict after %s, want it after the end of the pod", took)
		}
		if w.jobs[2].gone {
			t.Error("the Job was deleted, want it kept as evidence")
		}
	})
}

// TestAFailedPredeployIsNoMatterOnceSuperseded is also about the newest release,
// whose own predeploy waits.
func TestAFailedPredeployIsNoMatterOnceSuperseded(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]PredeployObservation{"the command fails": exited(1), "it has to be stopped": {Pods: []PodObservation{stuckPod("p", ContainerObservation{Waiting: "ErrImagePull", Message: "not found"})}}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				v1, v2 := pushTask(1, 0, 1), pushTask(2, 2, 3)
				w.tasks[v1.image()] = task{takes: 20 * time.Second, end: end, made: w.prepared(t, v2)}
				w.tasks[v2.image()] = task{takes: time.Second, end: predeployed()}
				w.publish(t, v1)
				w.run()
				first, second := w.releases[0].Status, w.releases[1].Status
				if first.Phase != Superseded || first.Cause != nil || second.Phase != Succeeded {
					t.Errorf("got %s (%+v) and %s, want the first superseded without a cause and the second live", first.Phase, first.Cause, second.Phase)
				}
				if gap := w.jobs[2].at.Sub(w.jobs[1].at); gap < 20*time.Second {
					t.Errorf("the second predeploy started %s after the first, want it to wait", gap)
				}
			})
		})
	}
}

// TestAJobIsNeverMadeAgain deletes the Job while no agent is there.
func TestAJobIsNeverMadeAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		v1 := pushTask(1, 0, 1)
		w.tasks[v1.image()] = task{takes: time.Hour}
		w.publish(t, v1)
		w.run()
		if got := w.releases[0].Status; got.Phase != Predeploying || len(got.Inventory) != 4 || !slices.Contains(got.Inventory, w.jobs[1].object) || got.At(StepPredeploying).IsZero() {
			t.Fatalf("got %+v, want its Job in the inventory beside what it is going to write", got)
		}
		w.jobs[1].gone = true
		w.run()
		if got := w.releases[0].Status; got.Phase != Failed || got.Cause == nil || got.Cause.Kind != CausePredeploy || w.jobs[1].made != 1 {
			t.Errorf("got %s with %+v and the Job made %d times, want it failed and made once", got.Phase, got.Cause, w.jobs[1].made)
		}
	})
}

func TestARollbackPredeploysWhereToldTo(t *testing.T) {
	t.Parallel()
	for _, told := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			v1 := pushTask(1, 0, 1, func(task *spec.Task) { task.OnRollback = told })
			again := v1
			again.attempt, again.issuedAt = 2, minutes(5)
			w.tasks[v1.image()] = task{end: predeployed()}
			for _, r := range []run{v1, push(2, 2, 3), again} {
				w.publish(t, r)
				w.run()
			}
			if r := w.releases[2]; r.Reason != ReasonRollback || r.Status.Phase != Succeeded || (w.jobs[3] != nil) != told {
				t.Errorf("onRollback %t: got a %s that %s, with Job %+v", told, r.Reason, r.Status.Phase, w.jobs[3])
			}
		})
	}
}

// TestAFailedPredeployPutsBackWhatASupersededReleaseLeft is about a rollout that
// nobody judged: the newer release changes nothing, and the older one's objects
// are there. Whatever came between, the good release's objects are in place.
func TestAFailedPredeployPutsBackWhatASupersededReleaseLeft(t *testing.T) {
	t.Parallel()
	v1, v2, v3 := push(1, 0, 1), push(2, 2, 3), pushTask(3, 4, 5)
	for _, test := range []struct {
		name    string
		between func(*world)
		phases  string
	}{
		{"superseded amid its rollout", func(w *world) { w.onWatch = never(v2.image()) }, "Succeeded Superseded RolledBack"},
		{"superseded amid writing", func(w *world) {
			w.onWrite = func(ctx context.Context, r Release) error {
				if r.Image != v2.image() {
					return nil
				}
				<-ctx.Done()
				return ctx.Err()
			}
		}, "Succeeded Superseded RolledBack"},
		{"rolled back", func(w *world) { w.broken[v2.image()] = true }, "Succeeded RolledBack RolledBack"},
		{"refused", func(w *world) { w.refused[v2.image()] = &Rejected{Message: "exceeded quota"} }, "Succeeded RolledBack RolledBack"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				test.between(w)
				w.tasks[v3.image()] = task{takes: 2 * time.Second, end: exited(1)}
				w.deploys(t, v1, v2, v3)
				if got := w.phases(); got != test.phases {
					t.Fatalf("got %s, want %s", got, test.phases)
				}
				if r := w.releases[2].Status; r.RestoredTo != 1 || r.Cause.Kind != CausePredeploy {
					t.Errorf("got it restored to %d with %+v, want release 1 after a failed predeploy", r.RestoredTo, r.Cause)
				}
				if w.live["web"] != v1.image() || slices.Contains(w.applied, 3) {
					t.Errorf("got %s live, %v applied; want the image of release 1 and nothing of release 3", w.live["web"], w.applied)
				}
			})
		})
	}
}

// TestNobodyIsNewerThanADeletedRelease is about a namespace that goes while its
// predeploy runs.
func TestNobodyIsNewerThanADeletedRelease(t *testing.T) {
	t.Parallel()
	one, two := Release{Number: 1}, Release{Number: 2}
	if one.overtaken(nil) || one.overtaken([]Release{one}) || !one.overtaken([]Release{one, two}) {
		t.Error("want release 1 overtaken by release 2 alone")
	}
}
