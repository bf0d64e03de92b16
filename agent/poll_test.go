package agent

import (
	"testing"
	"time"
)

func TestPollIntervalGrowsWithTheApps(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		set  time.Duration
		apps int
		want time.Duration
	}{
		{0, 0, time.Second},
		{0, 2, time.Second},
		{0, 3, 1500 * time.Millisecond},
		{0, 10, 5 * time.Second},
		{0, 1000, 5 * time.Second},
		{time.Minute, 1, time.Minute},
	} {
		a := New(Ports{}, Config{PollInterval: c.set})
		if got := a.pollInterval(c.apps); got != c.want {
			t.Errorf("set to %s, %d apps: got %s, want %s", c.set, c.apps, got, c.want)
		}
	}
}
