package agent

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// ramp is a rollout of three pods, of which one more is Ready at each of the given
// seconds after it began.
func ramp(w *world, seconds ...int) {
	w.onPods = func(ctx context.Context, r Release, see func(Observation) bool) error {
		began := time.Now()
		for ready := range len(seconds) + 1 {
			if ready > 0 {
				time.Sleep(time.Until(began.Add(time.Duration(seconds[ready-1]) * time.Second)))
			}
			s := ServiceObservation{Name: "web", Desired: 3, Observed: true, Updated: 3}
			for i := range 3 {
				s.Pods = append(s.Pods, PodObservation{Name: fmt.Sprint("web-", i), Ready: i < ready, ReadyAt: w.now(), CreatedAt: r.Status.At(StepApplied)})
			}
			if see(Observation{Services: []ServiceObservation{s}}) {
				return nil
			}
		}
		<-ctx.Done()
		return ctx.Err()
	}
}

// TestALongRolloutIsToldOf wants what has changed to be said at most every ten
// seconds, by check and receipt, and nothing of it by any other way.
func TestALongRolloutIsToldOf(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.beLoud()
		ramp(w, 12, 14, 31)
		var said []string
		began := w.now()
		w.onShow = func(c Check) error {
			if r := w.Releases(Line{"storefront", "production"})[0]; len(r.Status.Services) > 0 && c.Status == InProgress {
				said = append(said, fmt.Sprintf("%.0f s: %d", w.now().Sub(began).Seconds(), r.Status.Services[0].Ready))
			}
			return nil
		}
		w.publish(t, push(1, 0, 1))
		w.run()
		r := w.releases[0]
		if want := []string{"20 s: 2"}; !slices.Equal(said, want) || r.Status.Phase != Succeeded {
			t.Errorf("got the check written at %v and %s, want it at %v", said, r.Status.Phase, want)
		}
		if states := w.hub.states[r.Intent]; len(states) > 3 {
			t.Errorf("got deployment states %v", states)
		}
		if all := w.hub.receipts[r.Intent]; len(all) > 4 || !all[len(all)-1].Final {
			t.Errorf("got %d receipts, want the rollout, one word of it and the verdict at most", len(all))
		}
	})
}

// TestAShortRolloutCostsNoExtraWrite counts what is written of one: it was
// admitted, planned, written, and it is live.
func TestAShortRolloutCostsNoExtraWrite(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.mute = true
		ramp(w, 3, 6, 9)
		w.publish(t, push(1, 0, 1))
		w.run()
		if w.version != 4 || w.releases[0].Status.Phase != Succeeded || w.releases[0].Status.Services[0].Ready != 3 {
			t.Errorf("got %d writes, the last one %s of %+v; want 4", w.version, w.releases[0].Status.Phase, w.releases[0].Status.Services)
		}
	})
}
