package agent

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestSleepy(t *testing.T) {
	t.Parallel()
	now := lunch()
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	policy := PreviewPolicy{SleepAfter: 4 * time.Hour, WakeLabel: "wake-preview"}
	idle := Preview{Phase: PreviewActive, LastPushAt: ago(9 * time.Hour), ActiveAt: ago(8 * time.Hour), WakeAsked: ago(7 * time.Hour)}
	for name, test := range map[string]struct {
		change func(*Preview, *PreviewPolicy)
		last   time.Time
		asleep bool
		next   time.Time
	}{
		"idle":                               {func(*Preview, *PreviewPolicy) {}, ago(5 * time.Hour), true, time.Time{}},
		"deployed a moment ago":              {func(*Preview, *PreviewPolicy) {}, now, false, now.Add(4 * time.Hour)},
		"on the dot":                         {func(*Preview, *PreviewPolicy) {}, ago(4 * time.Hour), true, time.Time{}},
		"pushed to":                          {func(p *Preview, _ *PreviewPolicy) { p.LastPushAt = ago(time.Hour) }, ago(5 * time.Hour), false, now.Add(3 * time.Hour)},
		"woken":                              {func(p *Preview, _ *PreviewPolicy) { p.ActiveAt = ago(time.Hour) }, ago(5 * time.Hour), false, now.Add(3 * time.Hour)},
		"asked for":                          {func(p *Preview, _ *PreviewPolicy) { p.WakeAsked = ago(time.Hour) }, ago(5 * time.Hour), false, now.Add(3 * time.Hour)},
		"asked for in a year":                {func(p *Preview, _ *PreviewPolicy) { p.WakeAsked = ago(-9000 * time.Hour) }, ago(5 * time.Hour), true, time.Time{}},
		"kept awake by the label":            {func(p *Preview, _ *PreviewPolicy) { p.Labels = []string{"bug", "wake-preview"} }, ago(5 * time.Hour), false, time.Time{}},
		"of another label":                   {func(p *Preview, _ *PreviewPolicy) { p.Labels = []string{"keep-preview"} }, ago(5 * time.Hour), true, time.Time{}},
		"of a platform without such a label": {func(p *Preview, o *PreviewPolicy) { p.Labels, o.WakeLabel = []string{""}, "" }, ago(5 * time.Hour), true, time.Time{}},
		"of a platform without sleep":        {func(_ *Preview, o *PreviewPolicy) { o.SleepAfter = 0 }, ago(5 * time.Hour), false, time.Time{}},
		"being taken away":                   {func(p *Preview, _ *PreviewPolicy) { p.Phase = PreviewDestroying }, ago(5 * time.Hour), false, time.Time{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, o := idle, policy
			test.change(&p, &o)
			asleep, next := Sleepy(p, o, test.last, now)
			if asleep != test.asleep || !next.Equal(test.next) {
				t.Errorf("got asleep %t, next %s; want %t, %s", asleep, next, test.asleep, test.next)
			}
		})
	}
}

// sleepingWorld has previews that sleep after 2 minutes. It notes each Apply of the
// preview, as "1 awake".
func sleepingWorld(w *world) (applied *[]string) {
	w.beLoud()
	w.allowPreviews()
	w.app.PreviewPolicy.SleepAfter, w.app.PreviewPolicy.WakeLabel = 2*time.Minute, "wake-preview"
	applied = &[]string{}
	w.onWrite = func(_ context.Context, r Release) error {
		state := "awake"
		if r.Asleep {
			state = "asleep"
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		*applied = append(*applied, fmt.Sprintf("%d %s", r.Number, state))
		return nil
	}
	return applied
}

// note is what somebody in the cluster does to the record of the preview.
func (w *world) note(change func(*Preview)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range w.previews {
		change(&p)
		w.keepPreview(p)
	}
}

func (w *world) comments() string {
	var all []string
	for _, c := range slices.Collect(maps.Values(w.hub.comments)) {
		all = append(all, c.Body)
	}
	return strings.Join(all, "\n")
}

func TestPreviewSleepsAndIsWoken(t *testing.T) {
	t.Parallel()
	for name, wake := range map[string]func(*world){
		"by somebody who asks": func(w *world) { now := w.now(); w.note(func(p *Preview) { p.WakeAsked = now }) },
		"by the label":         func(w *world) { w.note(func(p *Preview) { p.Labels = []string{"wake-preview"} }) },
		"by the platform": func(w *world) {
			w.mu.Lock()
			defer w.mu.Unlock()
			policy := *w.app.PreviewPolicy
			policy.SleepAfter = 3 * time.Hour
			w.app.PreviewPolicy = &policy
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				applied := sleepingWorld(w)
				w.tell(t, pull(1, 0, 1))
				if p := w.pr7(); !p.AsleepAt.IsZero() || strings.Contains(w.comments(), "Asleep") {
					t.Fatalf("got it asleep at once: %+v, %s", p, w.comments())
				}
				w.wait(3 * time.Minute)
				if p := w.pr7(); p.AsleepAt.IsZero() || p.Turning || !strings.Contains(w.comments(), "💤 Asleep") || !strings.Contains(w.comments(), "inhaul wake pr-7") {
					t.Errorf("got asleep at %s, turning %t, and %s; want it asleep, and said so", p.AsleepAt, p.Turning, w.comments())
				}
				before := w.calls
				w.wait(time.Hour)
				if n := w.calls - before; n > 6*60+10 { // looks at the registry
					t.Errorf("got %d calls within an hour of sleep, want those to the registry alone", n)
				}
				w.runUntil(w.now().Add(time.Minute), func() { time.Sleep(15 * time.Second); wake(w) })
				if p := w.pr7(); !p.AsleepAt.IsZero() || p.Turning || p.ActiveAt.IsZero() || !strings.Contains(w.comments(), "✅ Live") {
					t.Errorf("got asleep at %s, turning %t, active at %s, and %s; want it awake, and said so", p.AsleepAt, p.Turning, p.ActiveAt, w.comments())
				}
				if got, want := fmt.Sprint(*applied), "[1 awake 1 asleep 1 awake]"; got != want {
					t.Errorf("got applied %s, want %s", got, want)
				}
			})
		})
	}
}

func TestPreviewWithAFailedReleaseStaysAsItIs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		applied := sleepingWorld(w)
		bad := pull(2, 2, 3)
		w.broken[bad.image()] = true
		w.tell(t, pull(1, 0, 1), bad)
		w.wait(time.Hour)
		if p := w.pr7(); !p.AsleepAt.IsZero() || slices.Contains(*applied, "1 asleep") || slices.Contains(*applied, "2 asleep") {
			t.Errorf("got asleep at %s after %v, want it awake: somebody looks at why it failed", p.AsleepAt, *applied)
		}
	})
}

func TestDriftOfASleeperIsJudgedAsleep(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		sleepingWorld(w)
		w.tell(t, pull(1, 0, 1))
		var looked []bool
		w.onDrift = func(r Release) { looked = append(looked, r.Asleep) }
		w.wait(3 * time.Minute)
		if n := len(looked); n < 2 || looked[0] || !looked[n-1] {
			t.Errorf("got drift judged asleep %v, want it so once the preview is: else its pods would be put back", looked)
		}
	})
}

// sleepStory is a preview that falls asleep, is asked for, sleeps again, and is pushed
// to; with a death it gets another agent.
func sleepStory(t *testing.T, w *world) map[string]string {
	t.Helper()
	sleepingWorld(w)
	again := func() {
		if w.died() {
			w.run()
		}
	}
	w.tell(t, pull(1, 0, 1))
	w.wait(4 * time.Minute)
	again()
	now := w.now()
	w.runUntil(w.now().Add(time.Minute), func() { w.note(func(p *Preview) { p.WakeAsked = now }) })
	again()
	w.wait(4 * time.Minute)
	again()
	w.tell(t, pull(2, 20, 21))
	return nil
}

func checkSleepStory(t *testing.T, w *world, _ map[string]string) {
	t.Helper()
	p := w.pr7()
	if p.Phase != PreviewActive || !p.AsleepAt.IsZero() || p.Turning || len(w.releases) != 2 {
		t.Errorf("got %s, asleep at %s, turning %t, %d releases; want it awake with 2", p.Phase, p.AsleepAt, p.Turning, len(w.releases))
	}
	if !strings.Contains(w.comments(), "✅ Live") {
		t.Errorf("got comment %s, want it live", w.comments())
	}
}

func TestSleepStory(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var states []string
		sleepStory(t, w)
		checkSleepStory(t, w, nil)
		for _, r := range w.releases {
			states = append(states, string(r.Status.Phase))
		}
		if got := fmt.Sprint(states); got != "[Succeeded Succeeded]" {
			t.Errorf("got releases %s, want two that succeeded: sleep makes none", got)
		}
		if got := fmt.Sprint(w.applied); got != "[1 1 1 1 2]" {
			t.Errorf("got applied %s, want release 1 awake, asleep, awake, asleep, and 2 once: a push wakes by itself", got)
		}
	})
}

func TestSleepStoryWithADeathInEveryCall(t *testing.T) {
	t.Parallel()
	dieInEveryCall(t, sleepStory, checkSleepStory)
}
