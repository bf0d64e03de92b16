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
