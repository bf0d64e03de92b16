package e2e

import (
	"slices"
	"testing"
	"time"
)

const (
	neighbours = 4 // releases that are never ready, beside or before a good one
	goodRounds = 3 // good releases that are measured
)

// TestABadReleaseHoldsNobodysWorker deploys good releases alone, beside four that
// are stuck, and behind four that are stuck in the same line: each goes live while
// the others are still being waited for.
func TestABadReleaseHoldsNobodysWorker(t *testing.T) {
	if size("INHAUL_PAIRS") == 0 {
		t.Skip("INHAUL_PAIRS is not set; `make pairs` does that")
	}
	tm := newTeam(t, "beside", 1+neighbours/2, 50)
	l := openLedger(t, tm)
	good, others := tm.lines[0], tm.lines[2:]
	var alone, beside, behind []time.Duration
	deploy := func(before ...*push) time.Duration {
		t.Helper()
		began := time.Now()
		p, err := tm.deploy(t.Context(), good, content{})
		if err != nil {
			t.Fatal(err)
		}
		r := l.await(t, p, func(r release) bool { return r.terminal() })
		took := time.Since(began)
		if r.Status.Phase != "Succeeded" {
			t.Fatalf("the good release is %s: %s", r.Status.Phase, r.Status.Message)
		}
		for _, b := range before {
			if r, _ := l.releaseOf(b); r.terminal() && r.Status.Phase != "Superseded" {
				t.Errorf("%s is %s (%s) before the good release was live: it was waited for", b.line, r.Status.Phase, r.Status.Message)
			}
		}
		return took
	}
	stick := func(line *line) *push {
		t.Helper()
		p, err := tm.deploy(t.Context(), line, content{stuck: true})
		if err != nil {
			t.Fatal(err)
		}
		l.await(t, p, func(r release) bool { return r.Status.Phase == "RollingOut" })
		return p
	}
	for range goodRounds {
		alone = append(alone, deploy())
	}
	var stuck []*push
	for _, line := range others {
		stuck = append(stuck, stick(line))
	}
	for range goodRounds {
		beside = append(beside, deploy(stuck...))
	}
	for range goodRounds {
		var before []*push
		for range neighbours {
			before = append(before, stick(good))
		}
		behind = append(behind, deploy(before...))
		for _, p := range before {
			if r, _ := l.releaseOf(p); r.Status.Phase != "Superseded" {
				t.Errorf("a stuck release before a good one is %s (%s), want Superseded", r.Status.Phase, r.Status.Message)
			}
		}
	}
	t.Logf("published to live, median of %d: alone %s, beside %d stuck releases %s, behind %d stuck ones in its line %s",
		goodRounds, median(alone), neighbours, median(beside), neighbours, median(behind))
}

// await waits until the release of a push satisfies done.
func (l *ledger) await(t *testing.T, p *push, done func(release) bool) release {
	t.Helper()
	for deadline := time.Now().Add(releaseTimeout); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if r, found := l.releaseOf(p); found && done(r) {
			return r
		}
	}
	r, found := l.releaseOf(p)
	t.Fatalf("run %d of %s: after %s it has a release: %t, %s: %s", p.run, p.line, releaseTimeout, found, r.Status.Phase, r.Status.Message)
	return r
}

// median is the one in the middle, of an even number the lower.
func median[T time.Duration | float64](all []T) T {
	sorted := slices.Sorted(slices.Values(all))
	return sorted[(len(sorted)-1)/2]
}
