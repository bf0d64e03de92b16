package agent

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/inhaul/inhaul/intent"
)

// TestAnnotationPointsAtTheSetting is about which line is at fault.
func TestAnnotationPointsAtTheSetting(t *testing.T) {
	t.Parallel()
	lines := map[string]int{
		"services": 6, "services.web": 7, "services.web.port": 9, "services.worker": 20, "services.worker.size": 22,
		"services.api": 30, "services.api.cpu": 31, "secrets": 3, "secrets.DATABASE_URL": 4, "services.web.secrets": 14, "services.web.secrets.TOKEN": 15, "predeploy": 2,
	}
	for setting, want := range map[string]int{
		"services.web.port": 9, "services.web.health": 7, "services.worker.memory": 22, "services.api.size": 31, "services.web.size": 7,
		"services.web.secrets.TOKEN": 15, "services.web.secrets.DATABASE_URL": 4, "services.web.secrets.OTHER": 14, "services.worker.secrets.OTHER": 20,
		"secrets.DATABASE_URL": 4, "secrets.OTHER": 3, "predeploy.timeout": 2, "build": 0, "services.other.port": 0, "": 0,
	} {
		r := told(Failed, func(r *Release) {
			red(r)
			r.Config = &intent.Config{Path: "shop/inhaul.yaml", Lines: lines}
			r.Status.Cause.Setting = setting
		})
		got := 0
		for _, a := range r.annotations() {
			got = a.Line
		}
		if got != want {
			t.Errorf("%q: got line %d, want %d", setting, got, want)
		}
	}
	r := told(Failed, func(r *Release) {
		red(r)
		r.Status.Cause.Setting = "services.web.run"
	})
	want := []Annotation{{
		Path: "inhaul.yaml", Line: 10, Level: "failure", Title: "production: services.web.run",
		Message: "web: the container ended 2 times, last with exit code 3.\nNext: read the log below; run the image locally with the same env.",
	}}
	if diff := cmp.Diff(want, r.annotations()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	for name, change := range map[string]func(*Release){
		"no file of the repository has it": func(r *Release) { r.Config = nil },
		"a newer one came":                 func(r *Release) { r.Status.Phase = Superseded },
		"nothing is at fault":              func(r *Release) { r.Status.Cause = nil },
	} {
		one := r
		change(&one)
		if got := one.annotations(); got != nil {
			t.Errorf("%s: got %v, want none", name, got)
		}
	}
}

func TestEveryCauseHasItsConclusion(t *testing.T) {
	t.Parallel()
	for message, want := range map[string]Conclusion{
		"predeploy: exit code 1":           Failure,
		"predeploy: not done within 10m0s": TimedOut,
		"predeploy: cancelled: somebody":   Cancelled,
		"predeploy: exit code 1: not done": Failure,
	} {
		r := Release{Status: Status{Phase: Failed, Cause: &Cause{Kind: CausePredeploy, Message: message}}}
		if got := r.conclusion(); got != want {
			t.Errorf("%q: got %s, want %s", message, got, want)
		}
	}
	for kind, want := range map[CauseKind]Conclusion{CauseNotReady: TimedOut, CauseNoProgress: TimedOut, CauseCrash: Failure, CauseUnschedulable: Failure} {
		r := Release{Status: Status{Phase: RolledBack, Cause: &Cause{Kind: kind}}}
		if got := r.conclusion(); got != want {
			t.Errorf("%s: got %s, want %s", kind, got, want)
		}
	}
}
