package agent

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/inhaul/inhaul/intent"
	"github.com/inhaul/inhaul/spec"
)

// TestAFailedReleaseIsLeftWhereTheAppSaysSo is about an app without automatic
// rollback: the failed objects stay until the next release has succeeded.
func TestAFailedReleaseIsLeftWhereTheAppSaysSo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		v1, v2, v3 := push(1, 0, 1), push(2, 2, 3), push(3, 4, 5)
		v2.change = func(p *intent.Predicate) {
			p.Spec.KeepFailed = true
			p.Spec.Services = append(p.Spec.Services, spec.Service{Name: "extra", Type: spec.Worker, Replicas: 1, CPU: "1m", Memory: "64Mi"})
		}
		w := newWorld(t)
		w.broken[v2.image()] = true
		w.runUntil(minutes(90), func() { w.publish(t, v1); time.Sleep(30 * time.Second); w.publish(t, v2) })
		if got, want := w.phases(), "Succeeded Failed"; got != want {
			t.Fatalf("got %s, want %s", got, want)
		}
		if w.live["web"] != v2.image() || w.live["extra"] != v2.image() {
			t.Errorf("got %v live, want all of the failed release", w.live)
		}
		if c := w.checks[w.releases[1].Intent]; c.Conclusion != Failure || !strings.Contains(c.Summary, "`autoRollback: false`") {
			t.Errorf("got %s %q, want a failure that says why nothing was put back", c.Conclusion, c.Summary)
		}
		w.runUntil(minutes(120), func() { w.publish(t, v3) })
		if got, want := w.phases(), "Succeeded Failed Succeeded"; got != want || w.live["extra"] != "" || w.live["web"] != v3.image() {
			t.Errorf("got %s with %v live, want %s and nothing left of the failed one", got, w.live, want)
		}
	})
}

// TestARefusedReleaseLeavesNothingToKeep is about one that failed before any of
// its objects was written.
func TestARefusedReleaseLeavesNothingToKeep(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		v1, v2 := push(1, 0, 1), push(2, 2, 3)
		v2.change = func(p *intent.Predicate) { p.Spec.KeepFailed = true }
		w := newWorld(t)
		w.onApply = func(_ context.Context, r Release) error {
			if r.Image == v2.image() {
				return rejectedObject()
			}
			return nil
		}
		w.deploys(t, v1, v2)
		if got, want := w.phases(), "Succeeded RolledBack"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	})
}
