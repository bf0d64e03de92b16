package agent

import (
	"context"
	"slices"
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
		v2.change = withExtra
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

// TestWhatWasLeftOutlivesAReleaseThatNeverBegan is about a release that was left
// as it failed, and newer ones that fail before they write anything.
func TestWhatWasLeftOutlivesAReleaseThatNeverBegan(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*intent.Predicate){
		"it would be left too":   func(p *intent.Predicate) { p.Spec.KeepFailed = true },
		"it would be put back":   func(*intent.Predicate) {},
		"its predeploy is wrong": pushTask(1, 0, 1).change,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v1, v2, v3, v4, v5 := push(1, 0, 1), push(2, 2, 3), push(3, 4, 5), push(4, 6, 7), push(5, 8, 9)
				v2.change = withExtra
				v3.change, v4.change = change, change
				w := newWorld(t)
				w.app.History = 1
				w.broken[v2.image()] = true
				refused := Rejected{Object: Object{Kind: "Secret", Name: "shop"}, Message: `there is no Secret "shop"`}
				for _, r := range []run{v3, v4} {
					w.refused[r.image()] = &refused
					w.tasks[r.image()] = task{refused: &refused}
				}
				w.deploys(t, v1, v2, v3, v4)
				if got, want := w.phases(), "Succeeded Failed Failed"; !strings.HasPrefix(got, want) {
					t.Fatalf("got %s, want %s first", got, want)
				}
				if w.live["web"] != v2.image() || w.live["extra"] != v2.image() || slices.Contains(w.pruned, Object{Kind: "Deployment", Name: "extra"}) {
					t.Errorf("got %v live, %v pruned; want all of the release that was left", w.live, w.pruned)
				}
				for _, r := range []run{v3, v4} {
					_, digest := envelope(t, r)
					if c := w.checks[digest]; c.Conclusion != Failure || !strings.Contains(c.Summary, "This release changed nothing of the app.") {
						t.Errorf("got %s %q, want a failure that says that nothing was changed", c.Conclusion, c.Summary)
					}
				}
				w.publish(t, v5)
				w.run()
				if w.live["extra"] != "" || w.live["web"] != v5.image() {
					t.Errorf("got %v live, want nothing left of what failed", w.live)
				}
			})
		})
	}
}

// withExtra adds a service to an app without automatic rollback.
func withExtra(p *intent.Predicate) {
	p.Spec.KeepFailed = true
	p.Spec.Services = append(p.Spec.Services, spec.Service{Name: "extra", Type: spec.Worker, Replicas: 1, CPU: "1m", Memory: "64Mi"})
}

// TestWhatIsLeft is about which failed release is in the cluster still.
func TestWhatIsLeft(t *testing.T) {
	t.Parallel()
	at := func(phase Phase, steps ...Step) Release {
		r := Release{Status: Status{Phase: phase, Inventory: []Object{{Kind: "Deployment", Name: "web"}}}}
		for _, step := range steps {
			r.Status.Reach(step, noon())
		}
		return r
	}
	good, failed, refused := at(Succeeded, StepApplied), at(Failed, StepApplied), at(Failed)
	waited, overtaken, back := Release{Status: Status{Phase: Superseded}}, at(Superseded), at(RolledBack, StepApplied)
	prepared := at(Superseded, StepPredeploying)
	prepared.App.Predeploy = &spec.Task{}
	for _, test := range []struct {
		name string
		line []Release
		want int // 0: none
	}{
		{"nothing", nil, 0},
		{"a success", []Release{good}, 0},
		{"the newest", []Release{good, failed}, 2},
		{"one before others that never began", []Release{good, failed, refused, waited, prepared, refused}, 2},
		{"the newer of two", []Release{good, failed, failed, refused}, 3},
		{"one that another may have written over", []Release{good, failed, overtaken, refused}, 0},
		{"one before a success", []Release{good, failed, good, refused}, 0},
		{"one that was put back", []Release{good, failed, back, refused}, 0},
	} {
		for i := range test.line {
			test.line[i].Number = i + 1
		}
		got := 0
		if r := left(test.line); r != nil {
			got = r.Number
		}
		if got != test.want {
			t.Errorf("%s: got %d, want %d", test.name, got, test.want)
		}
	}
}

// TestWhatWasLeftWithADeathInEveryCall kills the agent in each of its calls.
func TestWhatWasLeftWithADeathInEveryCall(t *testing.T) {
	t.Parallel()
	v1, v2, v3 := push(1, 0, 1), push(2, 2, 3), push(3, 4, 5)
	v2.change = withExtra
	story := func(t *testing.T, w *world) map[string]string {
		t.Helper()
		w.broken[v2.image()] = true
		w.refused[v3.image()] = &Rejected{Object: Object{Kind: "Secret", Name: "shop"}, Message: `there is no Secret "shop"`}
		w.tell(t, v1, v2, v3)
		return nil
	}
	dieInEveryCall(t, story, func(t *testing.T, w *world, _ map[string]string) {
		t.Helper()
		if got, want := w.phases(), "Succeeded Failed Failed"; got != want || w.live["web"] != v2.image() || w.live["extra"] != v2.image() {
			t.Errorf("got %s with %v live, want %s and all of the second", got, w.live, want)
		}
	})
}
