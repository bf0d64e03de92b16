package agent

import (
	"testing"
	"time"
)

// TestDriftAfterAClockThatWasAhead is put back at once: what is on record of a
// time to come keeps nobody waiting for it.
func TestDriftAfterAClockThatWasAhead(t *testing.T) {
	t.Parallel()
	d := Drift{Object: web(), Fields: []string{"spec.replicas: 5, want 2"}}
	ahead, _ := JudgeDrift(nil, []Drift{d}, DriftRevert, noon().Add(time.Hour))
	if due := driftDue(ahead, d.Object, noon()); due.After(noon()) {
		t.Errorf("got it due in %s, want now", due.Sub(noon()))
	}
	kept, revert := JudgeDrift(ahead, []Drift{d}, DriftRevert, noon())
	if len(revert) != 1 || !kept[len(kept)-1].Since.Equal(noon()) || kept[len(kept)-1].Times != 1 {
		t.Errorf("got %d to put back and the records %+v, want it as the first of its time", len(revert), kept)
	}
}
