package agent

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/inhaul/inhaul/spec"
)

func TestJudgeEndsARolloutThatNothingElseEnds(t *testing.T) {
	t.Parallel()
	r := Release{App: spec.App{Services: []spec.Service{{Name: "web", Type: spec.Web}}}}
	// The new pod is fine; an old one never ends.
	o := Observation{Services: []ServiceObservation{{
		Name: "web", Desired: 1, Observed: true, Updated: 1, Old: 1,
		Pods: []PodObservation{{Name: "web-1", Ready: true, ReadyAt: noon(), CreatedAt: noon()}},
	}}}
	early := Judge(r, o, noon(), noon().Add(rolloutDeadline-time.Second))
	if early.Done || !early.Recheck.Equal(noon().Add(rolloutDeadline)) {
		t.Errorf("a second before: got done %t, recheck %s; want to look again at the deadline", early.Done, early.Recheck)
	}
	if late := Judge(r, o, noon(), noon().Add(rolloutDeadline)); late.Cause == nil || late.Cause.Kind != CauseNoProgress {
		t.Errorf("at the deadline: got %+v, want it failed with %s", late, CauseNoProgress)
	}
}

func TestJudgeGivesASlowServiceItsTime(t *testing.T) {
	t.Parallel()
	r := Release{App: spec.App{Services: []spec.Service{{Name: "web", Type: spec.Web}, {Name: "slow", Type: spec.Web}}}}
	r.App.Services[1].Health.Timeout = "30m0s"
	o := Observation{Services: []ServiceObservation{observed("web", readyPod("web-1", 0)), observed("slow", stuckPod("slow-1", ContainerObservation{Running: true}))}}
	if got := Judge(r, o, noon(), after(30*time.Minute-time.Second)); got.Done {
		t.Errorf("before its timeout: got %+v, want to wait", got)
	}
	if got := Judge(r, o, noon(), after(30*time.Minute)); got.Cause == nil || got.Cause.Kind != CauseNotReady || got.Cause.Service != "slow" {
		t.Errorf("at its timeout: got %+v, want it failed with %s of slow", got, CauseNotReady)
	}
	o.Services[1] = observed("slow", readyPod("slow-1", 0))
	o.Services[1].Old = 1
	if got := Judge(r, o, noon(), after(34*time.Minute)); got.Done || !got.Recheck.Equal(after(35*time.Minute)) {
		t.Errorf("an old pod is left: got %+v, want to look again 5 minutes after the longest timeout", got)
	}
}

// TestJudgeForgivesCrashesFromBeforeTheRelease is about a pod that the release
// left as it was, and that the agent saw for the first time with ends of old.
func TestJudgeForgivesCrashesFromBeforeTheRelease(t *testing.T) {
	t.Parallel()
	r := Release{App: spec.App{Services: []spec.Service{{Name: "web", Type: spec.Web}}}}
	const before, since = -time.Hour, time.Second
	for _, test := range []struct {
		name      string
		container ContainerObservation
		crashed   bool
	}{
		{"ended twice long ago", ContainerObservation{Running: true, Ended: 2, EndedAt: after(before)}, false},
		{"ended once long ago and once since", ContainerObservation{Ended: 2, EndedBefore: 1, EndedAt: after(since)}, false},
		{"ended before the first look, nobody knows when the first time", ContainerObservation{Waiting: "CrashLoopBackOff", Ended: 2, EndedBefore: 2, EndedAt: after(since)}, false},
		{"ended twice since, and runs", ContainerObservation{Running: true, Ended: 4, EndedBefore: 2, EndedAt: after(since)}, false},
		{"ended twice since, and is down", ContainerObservation{Waiting: "CrashLoopBackOff", Ended: 4, EndedBefore: 2, EndedAt: after(since)}, true},
	} {
		test.container.ExitCode = 3
		pod := PodObservation{Name: "web-1", Ready: true, ReadyAt: after(before), CreatedAt: after(2 * before), Containers: []ContainerObservation{test.container}}
		got := Judge(r, Observation{Services: []ServiceObservation{observed("web", pod)}}, noon(), after(2*time.Second))
		if crashed := got.Cause != nil && got.Cause.Kind == CauseCrash; crashed != test.crashed || !got.Done {
			t.Errorf("%s: got %+v, want crashed %t", test.name, got, test.crashed)
		}
		pod.CreatedAt = noon().Truncate(time.Second)
		o := Observation{Services: []ServiceObservation{observed("web", pod)}}
		if got := Judge(r, o, after(time.Second/2), after(2*time.Second)); got.Cause == nil {
			t.Errorf("%s, of a pod made for the release in the same second: got %+v, want it failed", test.name, got)
		}
	}
}

// TestARolloutFromTheFutureEnds is about an agent whose clock was an hour ahead
// when it applied a release, and is right when the pods turn out not to be ready.
func TestARolloutFromTheFutureEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.onWatch = func(_ Release, s *ServiceObservation) { s.Pods[0].Ready, s.Pods[0].CreatedAt = false, lunch() }
		w.publish(t, push(1, 0, 1))
		w.born = time.Now().Add(-time.Hour)
		w.runUntil(w.now().Add(time.Minute), nil)
		if got := w.phases(); got != "RollingOut" {
			t.Fatalf("got %s, want RollingOut", got)
		}
		w.born = w.born.Add(time.Hour)
		w.runUntil(w.now().Add(spec.DefaultHealthTimeout+time.Minute), nil)
		if got := w.phases(); got != "Failed" {
			t.Errorf("got %s, want Failed after %s", got, spec.DefaultHealthTimeout)
		}
	})
}

// TestTheFirstLookFailsNothingByTimeAlone is about an agent that takes up a
// rollout which another one began by a clock that was an hour behind.
func TestTheFirstLookFailsNothingByTimeAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		pods := time.Now().Add(time.Minute + uncertainFor/2) // when they are ready
		w.onWatch = func(_ Release, s *ServiceObservation) {
			s.Pods[0].Ready, s.Pods[0].CreatedAt = !time.Now().Before(pods), lunch()
		}
		w.publish(t, push(1, 0, 1))
		w.runUntil(w.now().Add(time.Minute), nil)
		w.born = w.born.Add(-time.Hour)
		w.runUntil(w.now().Add(uncertainFor/4), nil)
		if got := w.phases(); got != "RollingOut" {
			t.Errorf("at the first look: got %s, want it to go on RollingOut", got)
		}
		time.Sleep(uncertainFor)
		w.runUntil(w.now().Add(time.Minute), nil)
		if got := w.phases(); got != "Succeeded" {
			t.Errorf("once its pods are ready: got %s, want Succeeded", got)
		}
	})
}

// TestFollowTellsASteadyTime is about a clock that is set an hour ahead while a
// rollout is watched. A bubble of synctest has no monotonic time: this is real.
func TestFollowTellsASteadyTime(t *testing.T) {
	t.Parallel()
	began, ahead := time.Now(), false
	clock := func() time.Time {
		now := time.Now()
		if ahead {
			wall := (*uint64)(unsafe.Pointer(&now)) // as setting a clock does: the monotonic part stays; see type time.Time
			*wall += 3600 << 30
		}
		return now
	}
	watch := func(ctx context.Context, see func(int) bool) error {
		for look := range 3 {
			see(look)
		}
		<-ctx.Done()
		return ctx.Err()
	}
	_, _, err := follow(t.Context(), clock, watch, func(look int, now time.Time) Verdict {
		if passed := now.Round(0).Sub(began.Round(0)); passed > time.Minute {
			t.Errorf("look %d: %s have passed, want no more than in truth", look, passed)
		}
		ahead = true
		return Verdict{Done: look == 2}
	})
	if set := clock().Round(0).Sub(began.Round(0)); err != nil || set < time.Hour {
		t.Errorf("got %v, and a clock that was set ahead by %s; want an hour", err, set)
	}
}

func TestMemory(t *testing.T) {
	t.Parallel()
	var m memory
	look := func(at time.Duration, c ContainerObservation) ContainerObservation {
		o := Observation{Services: []ServiceObservation{observed("web", stuckPod("web-1", c))}}
		m.fill(o, after(at))
		return o.Services[0].Pods[0].Containers[0]
	}
	look(0, ContainerObservation{Waiting: "CrashLoopBackOff", Ended: 3})
	again := look(time.Second, ContainerObservation{Waiting: "CrashLoopBackOff", Ended: 4})
	if again.EndedBefore != 3 || !again.WaitingSince.Equal(noon()) {
		t.Errorf("got %+v, want 3 ends and noon, as at the first look", again)
	}
	look(2*time.Second, ContainerObservation{Running: true, Ended: 4})
	if got := look(3*time.Second, ContainerObservation{Waiting: "CrashLoopBackOff", Ended: 5}); got.EndedBefore != 3 || !got.WaitingSince.Equal(after(3*time.Second)) {
		t.Errorf("got %+v, want it to wait anew", got)
	}
}

// TestAPredeployIsNotTooSlowByTwoClocks is about an agent whose clock is an hour
// ahead of the Job controller's.
func TestAPredeployIsNotTooSlowByTwoClocks(t *testing.T) {
	t.Parallel()
	o := PredeployObservation{StartedAt: after(-time.Hour), Pods: []PodObservation{stuckPod("predeploy-1", ContainerObservation{Running: true})}}
	begun := Sightings{Started: noon()}
	if got := JudgeTask(TaskPredeploy, spec.Task{}, o, begun, after(time.Minute)); got.Done {
		t.Errorf("after a minute: got %+v, want to wait", got)
	}
	late := after(spec.DefaultTaskTimeout + deadlineLateness)
	if got := JudgeTask(TaskPredeploy, spec.Task{}, o, begun, late); got.Cause == nil {
		t.Errorf("after its timeout: got %+v, want it failed", got)
	}
	begun.Note(o, late)
	if got := JudgeTask(TaskPredeploy, spec.Task{}, o, begun, late); got.Done || !got.Recheck.Equal(late.Add(uncertainFor)) {
		t.Errorf("at the first look of another agent: got %+v, want another look after %s", got, uncertainFor)
	}
}
