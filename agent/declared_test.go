package agent

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// absences are the ways in which a line goes and comes back.
func absences() map[string]func(w *world, is bool) {
	return map[string]func(w *world, is bool){
		"the App": func(w *world, is bool) { w.gone = is },
		"its environment": func(w *world, is bool) {
			environments := slices.Clone(w.app.Environments) // the agent holds the old ones
			environments[0].Name = map[bool]string{true: "elsewhere", false: "production"}[is]
			w.app.Environments, w.notices = environments, nil // intents for it would be news, and denied
		},
	}
}

// TestAVerdictIsReportedWhenItsAppIsBack deletes the App during a rollout that
// ends before it is back.
func TestAVerdictIsReportedWhenItsAppIsBack(t *testing.T) {
	t.Parallel()
	for name, absent := range absences() {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v1 := push(1, 0, 1)
				_, digest := envelope(t, v1)
				w := newWorld(t)
				w.onWrite = func(context.Context, Release) error { time.Sleep(30 * time.Second); return nil }
				set := func(is bool) {
					w.mu.Lock()
					defer w.mu.Unlock()
					absent(w, is)
				}
				w.publish(t, v1)
				w.runUntil(w.now().Add(2*time.Minute), func() {
					time.Sleep(15 * time.Second)
					set(true)
					time.Sleep(45 * time.Second)
					w.mu.Lock()
					c := w.checks[digest]
					w.mu.Unlock()
					if w.phases() != "Succeeded" || c.Status == Completed {
						t.Errorf("got %s, the check %s; want a verdict that was not said", w.phases(), c.Status)
					}
					set(false)
				})
				if c := w.checks[digest]; c.Conclusion != Success {
					t.Errorf("got the check %s %q after a minute, want it green", c.Status, c.Title)
				}
				if n := len(w.app.Status.Lines); n != 1 || w.app.Status.Lines[0].Current != 1 {
					t.Errorf("got %+v, want release 1 as the one that serves", w.app.Status.Lines)
				}
			})
		})
	}
}

// TestDriftIsPutBackWhenItsAppIsBack is about what happened meanwhile.
func TestDriftIsPutBackWhenItsAppIsBack(t *testing.T) {
	t.Parallel()
	for name, absent := range absences() {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v1 := push(1, 0, 1)
				w := newWorld(t)
				w.deploys(t, v1)
				w.runUntil(w.now().Add(2*time.Minute), func() {
					for _, is := range []bool{true, false} {
						time.Sleep(30 * time.Second)
						w.mu.Lock()
						absent(w, is)
						w.mu.Unlock()
						time.Sleep(15 * time.Second)
						if is {
							w.edit("nginx")
						}
					}
				})
				if got := w.live["web"]; got != v1.image() {
					t.Errorf("got image %s, want the release's", got)
				}
			})
		})
	}
}

// TestNothingIsRememberedOfALineThatIsGone but how long a release that is under
// way cannot be written.
func TestNothingIsRememberedOfALineThatIsGone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a := New(Ports{Apps: w, Reader: w}, Config{Now: w.now})
		ctx, cancel := context.WithCancel(t.Context())
		a.lines = newTurns(ctx, func(context.Context, Line) error { return nil }, nil)
		a.reports = newTurns(ctx, func(context.Context, target) error { return nil }, nil)
		line := Line{App: "storefront", Environment: "production"}
		w.releases = []Release{{Line: line, Number: 1, Status: Status{Phase: Restoring, Reported: []Reported{{Way: WayCheck, Phase: Restoring}}}}}
		a.declare(w.Apps())
		a.lookAgain(line, w.now().Add(time.Minute))
		a.givesUp(w.releases[0], w.now())
		a.declare(w.Apps())
		if len(a.policies) != 2 || len(a.alarms) != 1 || len(a.failing) != 1 {
			t.Errorf("got %v, %v, %v; want all of what an App declares", a.policies, a.alarms, a.failing)
		}
		a.declare(nil)
		if len(a.policies) != 0 || len(a.alarms) != 0 || len(a.failing) != 1 {
			t.Errorf("got %v, %v, %v; want what the release under way needs", a.policies, a.alarms, a.failing)
		}
		w.releases[0].Status.Phase = Failed
		a.declare(nil)
		if len(a.failing) != 0 {
			t.Errorf("got %v, want nothing", a.failing)
		}
		cancel()
		a.lines.wait()
		a.reports.wait()
	})
}
