package agent

import (
	"testing"
	"time"

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

func TestJudgeForgivesCrashesFromBeforeTheRelease(t *testing.T) {
	t.Parallel()
	r := Release{App: spec.App{Services: []spec.Service{{Name: "web", Type: spec.Web}}}}
	pod := PodObservation{
		Name: "web-1", Ready: true, ReadyAt: noon().Add(-time.Hour), CreatedAt: noon().Add(-2 * time.Hour),
		Containers: []ContainerObservation{{Name: "web", Running: true, Restarts: 2, Ended: 2, ExitCode: 3, EndedAt: noon().Add(-time.Hour)}},
	}
	o := Observation{Services: []ServiceObservation{{Name: "web", Desired: 1, Observed: true, Updated: 1, Pods: []PodObservation{pod}}}}
	if got := Judge(r, o, noon(), noon().Add(time.Second)); !got.Done || got.Cause != nil {
		t.Errorf("an unchanged pod that restarted an hour ago: got %+v, want success", got)
	}
	o.Services[0].Pods[0].Containers[0].EndedAt = noon().Add(time.Second)
	if got := Judge(r, o, noon(), noon().Add(2*time.Second)); got.Cause == nil || got.Cause.Kind != CauseCrash {
		t.Errorf("a crash since the release: got %+v, want it failed with %s", got, CauseCrash)
	}
}
