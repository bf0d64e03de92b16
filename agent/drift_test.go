package agent

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func web() Object {
	return Object{APIVersion: "apps/v1", Kind: "Deployment", Namespace: "shop", Name: "web"}
}

// fight has the drift found again and again, as soon as it is due, until end.
func fight(d Drift, policy DriftPolicy, end time.Time) (reverts []time.Time) {
	var records []DriftRecord
	for now := noon(); now.Before(end); now = later(now.Add(100*time.Millisecond), nextDrift(records, now)) {
		if driftDue(records, d.Object, now).After(now) {
			continue
		}
		var revert []Drift
		if records, revert = JudgeDrift(records, []Drift{d}, policy, now); len(revert) > 0 {
			reverts = append(reverts, now)
		}
	}
	return reverts
}

func TestJudgeDrift(t *testing.T) {
	t.Parallel()
	scaled := Drift{Object: web(), Fields: []string{"spec.replicas: 5, want 2"}, By: "kubectl (scale)"}
	record := func(d Drift, action DriftAction, since, at, times int) DriftRecord {
		return DriftRecord{Drift: d, Action: action, Since: minutes(since), At: minutes(at), Times: times}
	}
	givenUp := record(scaled, DriftGivenUp, 0, 2, maxDrifts+1)
	givenUp.Until = minutes(10)
	refused := scaled
	refused.Refused = "no"
	tests := map[string]struct {
		records []DriftRecord
		found   Drift
		policy  DriftPolicy
		want    []DriftRecord
		reverts bool
	}{
		"what is found first is put back": {found: scaled, want: []DriftRecord{record(scaled, DriftReverted, 2, 2, 1)}, reverts: true},
		"or reported, by policy":          {found: scaled, policy: DriftReport, want: []DriftRecord{record(scaled, DriftReported, 2, 2, 1)}},
		"what is reported is not reported again": {
			records: []DriftRecord{record(scaled, DriftReported, -30, -30, 1)}, found: scaled, policy: DriftReport,
			want: []DriftRecord{record(scaled, DriftReported, -30, -30, 1)},
		},
		"what was reported is put back when the policy says so": {
			records: []DriftRecord{record(scaled, DriftReported, 1, 1, 1)}, found: scaled, policy: DriftRevert,
			want: []DriftRecord{record(scaled, DriftReverted, 1, 2, 2)}, reverts: true,
		},
		"the same again is counted": {
			records: []DriftRecord{record(scaled, DriftReverted, 0, 1, 2)}, found: scaled,
			want: []DriftRecord{record(scaled, DriftReverted, 0, 2, 3)}, reverts: true,
		},
		"the same after the period counts anew": {
			records: []DriftRecord{record(scaled, DriftReverted, -9, -8, maxDrifts)}, found: scaled,
			want: []DriftRecord{record(scaled, DriftReverted, 2, 2, 1)}, reverts: true,
		},
		"too often is given up": {
			records: []DriftRecord{record(scaled, DriftReverted, 0, 1, maxDrifts)}, found: scaled, want: []DriftRecord{givenUp},
		},
		"what is refused is given up": {
			found: refused,
			want:  []DriftRecord{{Drift: refused, Action: DriftGivenUp, Since: minutes(2), At: minutes(2), Times: 1, Until: minutes(12)}},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, revert := JudgeDrift(test.records, []Drift{test.found}, test.policy, minutes(2))
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("records (-want +got):\n%s", diff)
			}
			if (len(revert) == 1) != test.reverts {
				t.Errorf("got %v put back, want %t", revert, test.reverts)
			}
		})
	}
}

func TestAFightIsGivenUpAndTakenUpAgain(t *testing.T) {
	t.Parallel()
	reverts := fight(Drift{Object: web(), Fields: []string{"x"}, By: "argocd"}, DriftRevert, noon().Add(driftPeriod))
	if len(reverts) != maxDrifts {
		t.Fatalf("put back at %v, want %d times in a period", reverts, maxDrifts)
	}
	for i := 1; i < len(reverts); i++ {
		if waited := reverts[i].Sub(reverts[i-1]); waited < driftPause<<(i-1) {
			t.Errorf("put back again after %v, want at least %v", waited, driftPause<<(i-1))
		}
	}
	if reverts = fight(Drift{Object: web(), Fields: []string{"x"}}, DriftRevert, noon().Add(3*driftPeriod)); len(reverts) != 3*maxDrifts {
		t.Errorf("put back %d times in three periods, want %d", len(reverts), 3*maxDrifts)
	}
}

func TestAFightOverManyObjectsIsGivenUpToo(t *testing.T) {
	t.Parallel()
	var records []DriftRecord
	reverts := 0
	for now := noon(); now.Before(noon().Add(driftPeriod)); now = now.Add(time.Second) {
		var found []Drift
		for i := range 2 * MaxDriftRecords {
			d := Drift{Object: Object{Kind: "Service", Name: fmt.Sprint(i)}, Fields: []string{"deleted"}}
			if !driftDue(records, d.Object, now).After(now) {
				found = append(found, d)
			}
		}
		var revert []Drift
		records, revert = JudgeDrift(records, found, DriftRevert, now)
		reverts += len(revert)
	}
	if len(records) != MaxDriftRecords || reverts != 2*MaxDriftRecords {
		t.Errorf("got %d records and %d objects put back, want %d and each object once", len(records), reverts, MaxDriftRecords)
	}
}

func TestServing(t *testing.T) {
	t.Parallel()
	releases := func(phases ...Phase) (all []Release) {
		for i, p := range phases {
			all = append(all, Release{Number: i + 1, Status: Status{Phase: p}})
		}
		return all
	}
	back := releases(Succeeded, RolledBack)
	back[1].Status.RestoredTo = 1
	tests := map[string]struct {
		releases []Release
		want     int
	}{
		"none":                           {nil, 0},
		"the newest":                     {releases(Succeeded, Succeeded), 2},
		"a newer one is under way":       {releases(Succeeded, RollingOut), 0},
		"it is being put back":           {releases(Succeeded, Restoring), 0},
		"it was put back":                {back, 1},
		"putting it back failed":         {releases(Succeeded, Failed), 0},
		"none was ever good":             {releases(Failed), 0},
		"one that was superseded is old": {releases(Superseded, Succeeded), 2},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := 0
			if r := serving(test.releases); r != nil {
				got = r.Number
			}
			if got != test.want {
				t.Errorf("got release %d, want %d", got, test.want)
			}
		})
	}
}
