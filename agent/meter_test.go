package agent

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// tally counts what every agent of a world says that it made durable.
type tally struct {
	mu       sync.Mutex
	admitted map[int]int
	verdicts map[int]int
	reported map[int]int
	refused  map[string]int
}

func newTally() *tally {
	return &tally{admitted: map[int]int{}, verdicts: map[int]int{}, reported: map[int]int{}, refused: map[string]int{}}
}

func (c *tally) Moved(r Release, was Status) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if was.Phase == "" {
		c.admitted[r.Number]++
	}
	if r.Status.Phase.Terminal() && !was.Phase.Terminal() {
		c.verdicts[r.Number]++
	}
	if was.At(StepReported).IsZero() && !r.Status.At(StepReported).IsZero() {
		c.reported[r.Number]++
	}
}

func (c *tally) Refused(r Refusal) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refused[r.Tag]++
}

// countedStory is the story, and then a rollback that is asked for in the cluster.
func countedStory(t *testing.T, w *world) map[string]string {
	t.Helper()
	digests := story(t, w)
	w.ask("back", "2")
	w.run()
	if w.died() {
		w.run()
	}
	return digests
}

func TestWhatIsDurableIsCountedOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, counted := newWorld(t), newTally()
		w.meter = counted
		countedStory(t, w)
		for number := 1; number <= 5; number++ {
			if counted.admitted[number] != 1 || counted.verdicts[number] != 1 || counted.reported[number] != 1 {
				t.Errorf("release %d: got %d admissions, %d verdicts and %d reports", number, counted.admitted[number], counted.verdicts[number], counted.reported[number])
			}
		}
		if len(counted.refused) != 1 || len(w.app.Status.Refusals) != 1 {
			t.Errorf("got the refusals %v, want one", counted.refused)
		}
	})
}

// TestNoDeathCountsAnythingTwice kills the agent in each of its calls: what it had
// written and not yet counted may be lost, and nothing is there twice.
func TestNoDeathCountsAnythingTwice(t *testing.T) {
	t.Parallel()
	counts := map[*world]*tally{}
	dieInEveryCall(t, func(t *testing.T, w *world) map[string]string {
		t.Helper()
		counts[w] = newTally()
		w.meter = counts[w]
		return countedStory(t, w)
	}, func(t *testing.T, w *world, _ map[string]string) {
		t.Helper()
		c, missing := counts[w], 0
		for number := 1; number <= 5; number++ {
			for what, n := range map[string]int{"admissions": c.admitted[number], "verdicts": c.verdicts[number], "reports": c.reported[number]} {
				if n > 1 {
					t.Errorf("release %d: got %d %s", number, n, what)
				}
				missing += 1 - min(n, 1)
			}
		}
		for tag, n := range c.refused {
			if n > 1 {
				t.Errorf("tag %s: got %d refusals", tag, n)
			}
		}
		if missing > 1 { // one death, one write that was not counted
			t.Errorf("%d of 15 moments were not counted", missing)
		}
	})
}

func TestWhatWaits(t *testing.T) {
	t.Parallel()
	at := func(number int, phase, reported Phase, admitted, verdict int) Release {
		r := Release{Number: number, Status: Status{Phase: phase, Reported: []Reported{{Way: WayCheck, Phase: reported}}}}
		r.Status.Reach(StepAdmitted, minutes(admitted))
		if verdict != 0 {
			r.Status.Reach(StepVerdict, minutes(verdict))
		}
		return r
	}
	for _, test := range []struct {
		name     string
		releases []Release
		want     Backlog
	}{
		{"nothing", []Release{at(1, Succeeded, Succeeded, 1, 2)}, Backlog{}},
		{"a rollout", []Release{at(1, Succeeded, Succeeded, 1, 2), at(2, RollingOut, RollingOut, 3, 0)}, Backlog{Deploy: minutes(3)}},
		{"a rollout that nobody knows of", []Release{at(2, RollingOut, Pending, 3, 0)}, Backlog{Deploy: minutes(3), Reports: map[Way]Lag{WayCheck: {1, minutes(3)}}}},
		{"a red that is not said while the good one is put back", []Release{at(2, Restoring, RollingOut, 3, 4)}, Backlog{Deploy: minutes(3), Reports: map[Way]Lag{WayCheck: {1, minutes(4)}}}},
		{"two verdicts", []Release{at(1, Failed, RollingOut, 1, 2), at(2, Succeeded, "", 3, 4)}, Backlog{Reports: map[Way]Lag{WayCheck: {2, minutes(2)}}}},
		{"one that was overtaken, and was said so", []Release{at(1, Succeeded, Superseded, 1, 2), at(2, Succeeded, Succeeded, 3, 4)}, Backlog{}},
	} {
		if got := Waiting(test.releases, []Way{WayCheck}); !cmp.Equal(got, test.want) {
			t.Errorf("%s: got %v, want %v", test.name, got, test.want)
		}
	}
}

func TestHowLongALineWasWithoutASuccess(t *testing.T) {
	t.Parallel()
	at := func(number int, phase Phase, verdict int) Release {
		r := Release{Number: number, Status: Status{Phase: phase}}
		r.Status.Reach(StepVerdict, minutes(verdict))
		return r
	}
	for _, test := range []struct {
		name string
		line []Release // the last one is live
		want time.Duration
	}{
		{"the first", []Release{at(1, Succeeded, 1)}, 0},
		{"after a success", []Release{at(1, RolledBack, 1), at(2, Succeeded, 2), at(3, Succeeded, 3)}, 0},
		{"after a failure", []Release{at(1, Succeeded, 1), at(2, RolledBack, 2), at(3, Succeeded, 9)}, 7 * time.Minute},
		{"after two, and one that never was", []Release{at(1, Failed, 2), at(2, Superseded, 3), at(3, RolledBack, 4), at(4, Succeeded, 9)}, 7 * time.Minute},
	} {
		if got := RestoredAfter(test.line[len(test.line)-1], test.line); got != test.want {
			t.Errorf("%s: got %v, want %v", test.name, got, test.want)
		}
	}
}
