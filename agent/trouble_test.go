package agent

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestReceiptsThatTheRegistryRefusesAreAProblemOfTheApp is about credentials that may
// pull and not push.
func TestReceiptsThatTheRegistryRefusesAreAProblemOfTheApp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.mute, w.hub.ways = true, []Way{WayReceipt}
		tries, mended := 0, w.now().Add(10*time.Minute)
		w.hub.onSay = func(context.Context, Way) error {
			if tries++; w.now().Before(mended) {
				return fmt.Errorf("%w: grant push", ErrNotPermitted)
			}
			return nil
		}
		pulse := &failedPolls{}
		w.pulse = pulse
		w.publish(t, push(1, 0, 1))
		w.runUntil(mended.Add(-time.Second), nil)
		if got := w.app.Status.Problem; !strings.Contains(got, "receipts cannot be published") || !strings.Contains(got, "grant push") {
			t.Errorf("got problem %q, want what is missing", got)
		}
		if r := w.releases[0]; r.Status.Phase != Succeeded || pulse.failed.Load() != 0 {
			t.Errorf("got %s and %d failed looks, want it live and none", r.Status.Phase, pulse.failed.Load())
		}
		if tries > 12 {
			t.Errorf("got %d tries within 10 minutes, want one a minute", tries)
		}
		w.publish(t, push(2, 11, 12))
		w.runUntil(mended.Add(5*time.Minute), nil)
		if got := w.app.Status.Problem; got != "" || len(w.hub.receipts) != 2 {
			t.Errorf("once it is mended: got problem %q and receipts of %d intents, want none and 2", got, len(w.hub.receipts))
		}
	})
}

func TestAppsThatShareTheirIntentsAreToldSo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.others = []App{{Name: "warehouse", Intents: w.app.Intents + "-of-its-own"}, {Name: "webshop", Intents: w.app.Intents}}
	a := New(Ports{Apps: w}, Config{})
	for app, want := range map[string]string{"storefront": "App webshop has the repository " + w.app.Intents, "webshop": "App storefront has", "warehouse": ""} {
		known, _ := a.app(app)
		if got := a.trouble(known); !strings.Contains(got, want) || want == "" && got != "" {
			t.Errorf("%s: got problem %q, want %q", app, got, want)
		}
	}
}

// TestWhatIsForAnotherAppIsToldByNoWay is about a repository that two Apps share: a
// receipt with number 1 is what the workflow believes.
func TestWhatIsForAnotherAppIsToldByNoWay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.beLoud()
		w.app.Name = "webshop"
		w.publish(t, push(1, 0, 1))
		w.run()
		if got := w.app.Status.Refusals; len(got) != 1 || got[0].Rule != ruleApp {
			t.Fatalf("got refusals %+v, want one of what is for another app", got)
		}
		if len(w.hub.receipts)+len(w.hub.statuses)+len(w.checks) != 0 {
			t.Errorf("got receipts %+v, statuses %+v and checks %+v, want none", w.hub.receipts, w.hub.statuses, w.checks)
		}
	})
}

// TestAPlainTokenLeavesTheCheckToTheWorkflow is about what a status does not show.
func TestAPlainTokenLeavesTheCheckToTheWorkflow(t *testing.T) {
	t.Parallel()
	for _, app := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			w.mute, w.hub.ways = !app, []Way{WayStatus, WayReceipt}
			w.publish(t, push(1, 0, 1))
			w.run()
			for _, r := range w.hub.receipts[w.releases[0].Intent] {
				if r.Reported != app {
					t.Errorf("with an App %t: got receipt %d that says reported %t", app, r.Number, r.Reported)
				}
			}
		})
	}
}

// TestManyTakenNumbersOfReceiptsEnd is about an intent of which others, who may push,
// have published more receipts than are tried at a time.
func TestManyTakenNumbersOfReceiptsEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.mute, w.hub.ways = true, []Way{WayReceipt}
		const foreign = 3*maxReceipts + 5
		_, digest := envelope(t, push(1, 0, 1))
		for i := range foreign {
			w.hub.receipts[digest] = append(w.hub.receipts[digest], Receipt{Number: i + 1, Intent: "another's"})
		}
		w.publish(t, push(1, 0, 1))
		w.run()
		all := w.hub.receipts[digest]
		if len(all) <= foreign || !all[len(all)-1].Final || w.releases[0].unreported(WayReceipt) {
			t.Errorf("got %d receipts and %+v on record, want the last one behind the %d", len(all), w.releases[0].Status.Reported, foreign)
		}
	})
}
