package agent

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestDriftIsPutBackAndOnRecord(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		v1 := push(1, 0, 1)
		w.deploys(t, v1)
		w.edit("nginx")
		before := w.now()
		w.run()
		if got := w.live["web"]; got != v1.image() {
			t.Errorf("got image %s, want the release's", got)
		}
		records := w.drifts()
		if len(records) != 1 || records[0].By != "kubectl-edit" || records[0].Action != DriftReverted || records[0].Times != 1 {
			t.Fatalf("got %v on record, want one edit by kubectl-edit, put back", records)
		}
		if waited := records[0].At.Sub(before); waited > time.Second {
			t.Errorf("found after %v", waited)
		}
		if phase := w.releases[0].Status.Phase; phase != Succeeded {
			t.Errorf("got phase %s, want it as it was", phase)
		}
		calls := w.calls
		w.run()
		if polled := w.calls - calls; len(w.reverted) != 1 || polled > 8 { // registry aside
			t.Errorf("put back %d times, %d calls in a minute of peace", len(w.reverted), polled)
		}
	})
}

func TestDriftIsOnlyReportedWherePolicySaysSo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.app.Environments[0].Drift = DriftReport
		v1 := push(1, 0, 1)
		w.deploys(t, v1)
		w.edit("nginx")
		for range 3 { // restarts report it once
			w.run()
		}
		if records := w.drifts(); len(records) != 1 || records[0].Action != DriftReported || records[0].Times != 1 || w.live["web"] != "nginx" {
			t.Fatalf("got %v on record and %s live, want one edit, reported", records, w.live["web"])
		}
		w.edit("caddy")
		w.run()
		if records := w.drifts(); len(records) != 2 {
			t.Errorf("got %v on record, want another edit", records)
		}
		w.runUntil(w.now().Add(settled), func() { // the platform owner thinks better of it
			time.Sleep(settled / 2)
			w.mu.Lock()
			defer w.mu.Unlock()
			w.app.Environments = slices.Clone(w.app.Environments) // the agent holds the old ones
			w.app.Environments[0].Drift = DriftRevert
		})
		if got := w.live["web"]; got != v1.image() {
			t.Errorf("got image %s after the policy changed, want the release's", got)
		}
	})
}

func TestADriftThatComesBackAtOnceIsGivenUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.deploys(t, push(1, 0, 1))
		w.rival = "argo"
		w.edit("argo")
		w.runUntil(w.now().Add(driftPeriod-time.Minute), nil)
		records := w.drifts()
		if len(w.reverted) != maxDrifts || len(records) != 1 || records[0].Action != DriftGivenUp {
			t.Fatalf("put back %d times, on record %v; want %d times and given up", len(w.reverted), records, maxDrifts)
		}
		calls := w.calls
		w.edit("argo 2")
		w.runUntil(records[0].Until.Add(-time.Second), nil)
		if looked := w.calls - calls; looked > 8 {
			t.Errorf("looked at it %d times after giving up", looked)
		}
		w.rival = ""
		w.runUntil(records[0].Until.Add(settled), nil)
		if records := w.drifts(); w.live["web"] != push(1, 0, 1).image() || records[len(records)-1].Action != DriftReverted {
			t.Errorf("got %s live and %v on record after the rival has gone, want it put back", w.live["web"], records)
		}
	})
}

func TestANewReleaseDoesNotWaitForALookAtDrift(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.deploys(t, push(1, 0, 1))
		w.onLook = func(ctx context.Context) error { // an API server that does not answer
			<-ctx.Done()
			return ctx.Err()
		}
		w.edit("nginx")
		v2 := push(2, 2, 3)
		w.runUntil(w.now().Add(settled), func() {
			time.Sleep(settled / 4)
			w.publish(t, v2)
		})
		if len(w.releases) != 2 || w.releases[1].Status.Phase != Succeeded || w.live["web"] != v2.image() {
			t.Errorf("got %+v, want release 2 live", w.releases)
		}
	})
}

// TestALookAtDriftThatHangsIsTriedAgain is about one whose answer gets lost.
func TestALookAtDriftThatHangsIsTriedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		v1 := push(1, 0, 1)
		w.deploys(t, v1)
		looks := 0
		w.onLook = func(ctx context.Context) error {
			if looks++; looks > 1 {
				return nil
			}
			<-ctx.Done()
			return ctx.Err()
		}
		w.edit("nginx")
		w.runUntil(w.now().Add(applyTimeout+10*time.Second), nil)
		if looks != 2 || w.live["web"] != v1.image() {
			t.Errorf("got %d looks and %s live, want the second one to put it back", looks, w.live["web"])
		}
	})
}

// askedWhileWatched tells the first reading of the releases whether the line's turn
// is known to be at its drift.
type askedWhileWatched struct {
	*world
	agent *Agent
	is    bool
}

func (r *askedWhileWatched) Releases(line Line) []Release {
	r.agent.mu.Lock()
	defer r.agent.mu.Unlock()
	r.is = r.agent.watched[line]
	return r.world.Releases(line)
}

// TestNoReleaseComesUnseenBeforeALookAtDrift is about one that comes between the
// reading of the releases and the look: it has to find what it is to interrupt.
func TestNoReleaseComesUnseenBeforeALookAtDrift(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	reader := &askedWhileWatched{world: w}
	reader.agent = New(Ports{Apps: w, Reader: reader}, Config{Now: noon})
	line := Line{App: "storefront", Environment: "production"}
	if err := reader.agent.watchOver(t.Context(), line); err != nil || !reader.is || reader.agent.watched[line] {
		t.Errorf("got %v, known to be at it before: %t, after: %t; want it known before alone", err, reader.is, reader.agent.watched[line])
	}
}

func TestDriftWithADeathInEveryCall(t *testing.T) {
	t.Parallel()
	v1, v2 := push(1, 0, 1), push(2, 2, 3)
	story := func(t *testing.T, w *world) map[string]string {
		t.Helper()
		w.broken[v2.image()] = true
		for _, step := range []func(){
			func() { w.publish(t, v1) },
			func() { w.edit("nginx") },
			func() { w.publish(t, v2) }, // is rolled back
			func() { w.edit("caddy") },
		} {
			step()
			w.run()
			if w.died() {
				w.run()
			}
		}
		return nil
	}
	dieInEveryCall(t, story, func(t *testing.T, w *world, _ map[string]string) {
		t.Helper()
		if got := w.live["web"]; got != v1.image() {
			t.Errorf("got image %s, want the good release's", got)
		}
		records := w.drifts()
		if len(records) != 2 || records[0].Fields[0] != "image: nginx" || records[1].Fields[0] != "image: caddy" {
			t.Errorf("got %v on record, want both edits once, on the release that serves", records)
		}
		for _, r := range records {
			if r.Times > 2 || r.Action != DriftReverted {
				t.Errorf("got %v, want it put back, and counted twice at most", r)
			}
		}
	})
}
