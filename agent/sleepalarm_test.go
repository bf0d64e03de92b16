package agent

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestAnAlarmOfSleepLeavesTimeToRetry is about a preview that should sleep and whose
// record cannot be written: an alarm that goes off at once would have no pause.
func TestAnAlarmOfSleepLeavesTimeToRetry(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := previewing(t)
		w.tell(t, pull(1, 0, 1))
		w.app.PreviewPolicy.SleepAfter = time.Minute
		w.skip(time.Hour)
		a := New(Ports{Apps: w, Records: w, Reader: w}, Config{Now: w.now})
		if at := a.bedtime(Line{App: "storefront", Environment: "pr-7"}); at.Sub(a.now()) < time.Second {
			t.Errorf("got the alarm in %s, want some time until then", at.Sub(a.now()))
		}
	})
}
