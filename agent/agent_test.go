package agent

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// settled is long enough for everything, in the bubble's own time.
const settled = time.Minute

// story is three pushes of which the third is broken, a re-run of the first,
// and a build that was in flight during it.
func story(t *testing.T, w *world) (digests map[string]string) {
	t.Helper()
	v1, v2, v3 := push(1, 0, 1), push(2, 2, 3), push(3, 4, 5)
	again, flying := v1, push(4, 6, 9)
	again.attempt, again.issuedAt = 2, minutes(8)
	w.broken[fmt.Sprintf("%s@sha256:%064x", testImages, v3.id)] = true
	digests = map[string]string{}
	for name, r := range map[string]run{"v1": v1, "v2": v2, "v3": v3, "again": again, "flying": flying} {
		_, digests[name] = envelope(t, r)
	}
	w.tell(t, v1, v2, v3, again, flying)
	return digests
}

// tell publishes one run after the other, with an agent for each, that starts from
// what the last one left, and another if that one dies.
func (w *world) tell(t *testing.T, runs ...run) {
	t.Helper()
	for _, r := range runs {
		w.publish(t, r)
		w.run()
		if w.died() {
			w.run()
		}
	}
}

// checkStory is what the story has to end with, whatever happened on the way.
func checkStory(t *testing.T, w *world, digests map[string]string) {
	t.Helper()
	if len(w.releases) != 4 {
		t.Fatalf("got %d releases, want 4", len(w.releases))
	}
	for i, want := range []Phase{Succeeded, Succeeded, RolledBack, Succeeded} {
		r := w.releases[i]
		if r.Status.Phase != want || r.Number != i+1 {
			t.Errorf("release %d: got number %d, phase %s (%s); want %s", i+1, r.Number, r.Status.Phase, r.Status.Message, want)
		}
		if r.Status.At(StepReported).IsZero() {
			t.Errorf("release %d was not reported", r.Number)
		}
	}
	if want := fmt.Sprintf("%s@sha256:%064x", testImages, 1001); w.live["web"] != want {
		t.Errorf("got %s live, want the first image %s", w.live["web"], want)
	}
	if r := w.releases[3]; r.Reason != ReasonRollback {
		t.Errorf("the re-run: got reason %s, want %s", r.Reason, ReasonRollback)
	}
	if w.made != 5 || len(w.checks) != 5 {
		t.Errorf("got %d check runs made for %d intents, want 5 for 5", w.made, len(w.checks))
	}
	for name, want := range map[string]Conclusion{"v1": Success, "v2": Success, "v3": Failure, "again": Success, "flying": Neutral} {
		if c := w.checks[digests[name]]; c.Status != Completed || c.Conclusion != want {
			t.Errorf("check of %s: got %s %s (%s), want completed %s", name, c.Status, c.Conclusion, c.Title, want)
		}
	}
	red := w.checks[digests["v3"]]
	for _, want := range []string{"exit code 3", "Rolled back to release 2 in ", "Release 2 never stopped serving"} {
		if !strings.Contains(red.Title+red.Summary, want) {
			t.Errorf("the red check says %q %q, want %q in it", red.Title, red.Summary, want)
		}
	}
	if !strings.Contains(red.Text, "cannot reach the database") {
		t.Errorf("the red check has no log: %s", red.Text)
	}
}

func TestStory(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		digests := story(t, w)
		checkStory(t, w, digests)
		if want := []int{1, 2, 3, 2, 4}; fmt.Sprint(w.applied) != fmt.Sprint(want) {
			t.Errorf("got releases %v applied in that order, want %v: each once, and the last good one again after the failure", w.applied, want)
		}
	})
}

// TestStoryWithADeathInEveryCall kills the agent in each of its calls to the
// world, before and after the call took effect, and lets the next one go on.
func TestStoryWithADeathInEveryCall(t *testing.T) {
	t.Parallel()
	dieInEveryCall(t, story, checkStory)
}

func dieInEveryCall(t *testing.T, story func(*testing.T, *world) map[string]string, check func(*testing.T, *world, map[string]string)) {
	t.Helper()
	calls := 0
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		story(t, w)
		calls = w.calls
	})
	deaths, step := 0, 1
	if testing.Short() { // beside the race detector, which is slow and wants no more than a sample
		step = 7
	}
	for _, before := range []bool{true, false} {
		for at := 1; at <= calls; at += step {
			t.Run(fmt.Sprintf("call %d, before %t", at, before), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t)
					w.dieAt, w.dieBefore = at, before
					digests := story(t, w)
					if w.mourned { // the number of calls differs a little from run to run
						deaths++
					}
					check(t, w, digests)
				})
			})
		}
	}
	if deaths < 2*(calls/step)-20-calls/10/step { // the more calls, the more they differ
		t.Errorf("the agent died %d times in %d calls, want nearly twice as many", deaths, calls)
	}
}
