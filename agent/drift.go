package agent

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// DriftPolicy says what is done about drift in an environment. The zero value is
// DriftRevert.
type DriftPolicy string

// The policies.
const (
	DriftRevert DriftPolicy = "revert" // put back, and on record
	DriftReport DriftPolicy = "report" // on record only
)

// Drift is an object of the serving release that somebody else has changed or
// deleted.
type Drift struct {
	Object Object
	// Fields are those that are not as the release has them, bounded and without
	// secrets: "spec.replicas: 5, want 2", or "deleted" alone.
	Fields  []string
	By      string // field managers, "kubectl-edit"; empty where the API server does not tell
	Refused string // why it cannot be put back, by the API server; empty: it can
}

// same reports whether two drifts are the same change by the same hand.
func (d Drift) same(other Drift) bool {
	return d.Object == other.Object && d.By == other.By && slices.Equal(d.Fields, other.Fields)
}

// DriftAction is what was done about a drift.
type DriftAction string

// The actions.
const (
	DriftReverted DriftAction = "Reverted" // put back; on record before it is
	DriftReported DriftAction = "Reported" // left as it is, by policy
	DriftGivenUp  DriftAction = "GivenUp"  // left as it is for a while: it came back too often, or is refused
)

// DriftRecord is a drift and what was done about it.
type DriftRecord struct {
	Drift
	Action DriftAction
	At     time.Time // when it was found last
	Since  time.Time // when it was found first within driftPeriod
	Times  int       // how often since then
	Until  time.Time // when a drift that was given up is looked at again; else zero
}

// How often a drift is put back. Two hands that want different things must not
// keep the cluster busy: each change of a Deployment's template changes all pods.
const (
	driftPeriod = 10 * time.Minute
	maxDrifts   = 5           // per object and period; then it is given up
	driftPause  = time.Second // after the first one; doubled with each more
)

// MaxDriftRecords is how many records a release keeps, the newest. When as many
// are from one period, the whole line is left alone until the oldest is not.
const MaxDriftRecords = 40

// JudgeDrift says what is to be done about what was found at now: the records as
// they should be, the newest last, and which of found to put back. It is pure.
func JudgeDrift(records []DriftRecord, found []Drift, policy DriftPolicy, now time.Time) (kept []DriftRecord, revert []Drift) {
	kept = slices.Clone(records)
	for _, d := range found {
		record := DriftRecord{Drift: d, Action: DriftReverted, At: now, Since: now, Times: 1}
		times, since := driftsOf(kept, d.Object, now)
		switch {
		case d.Refused != "":
			record.Action, record.Until = DriftGivenUp, now.Add(driftPeriod)
		case times >= maxDrifts:
			record.Action, record.Until = DriftGivenUp, since.Add(driftPeriod)
		case policy == DriftReport:
			record.Action = DriftReported
		default:
			revert = append(revert, d)
		}
		kept = noteDrift(kept, record)
	}
	return kept[max(0, len(kept)-MaxDriftRecords):], revert
}

// String is the record on one line, for the log and for people.
func (r DriftRecord) String() string {
	text := r.Object.Kind + " " + r.Object.Name + ": " + strings.Join(r.Fields, "; ")
	if r.By != "" {
		text += "; by " + r.By
	}
	switch r.Action {
	case DriftReverted:
		return text + ": put back"
	case DriftGivenUp:
		text += fmt.Sprintf(": given up until %s, after %d times", r.Until.Format(time.TimeOnly), r.Times)
	case DriftReported:
		text += ": left as it is"
	}
	if r.Refused != "" {
		text += ": " + r.Refused
	}
	return text
}

// noteDrift adds a record, in the place of an older one of the same drift. A
// drift that was reported is not reported again.
func noteDrift(records []DriftRecord, record DriftRecord) []DriftRecord {
	i := slices.IndexFunc(records, func(old DriftRecord) bool { return old.same(record.Drift) })
	if i < 0 {
		return append(records, record)
	}
	old := records[i]
	if old.Action == DriftReported && record.Action == DriftReported && lastDrift(records, record.Object) == i {
		return records
	}
	if old.recent(record.At) {
		record.Since, record.Times = old.Since, old.Times+1
	}
	return append(slices.Delete(records, i, i+1), record)
}

// lastDrift is the index of the newest record of o, -1 if there is none.
func lastDrift(records []DriftRecord, o Object) int {
	for i, r := range slices.Backward(records) {
		if r.Object == o {
			return i
		}
	}
	return -1
}

// driftsOf counts how often o was found in this period, and since when.
func driftsOf(records []DriftRecord, o Object, now time.Time) (times int, since time.Time) {
	for _, r := range records {
		if r.Object != o || !r.recent(now) {
			continue
		}
		times += r.Times
		if since.IsZero() || r.Since.Before(since) {
			since = r.Since
		}
	}
	return times, since
}

// recent reports whether r is of this period. What is on record of a time to come
// is of a clock that was wrong: it counts for nothing.
func (r DriftRecord) recent(now time.Time) bool {
	return !r.Since.After(now) && now.Sub(r.Since) < driftPeriod
}

// driftDue is when o may be looked at again after what is on record; a time that
// is not after now means at once.
func driftDue(records []DriftRecord, o Object, now time.Time) time.Time {
	var at time.Time
	if len(records) >= MaxDriftRecords {
		oldest := slices.MinFunc(records, func(a, b DriftRecord) int { return a.Since.Compare(b.Since) })
		if oldest.recent(now) {
			at = oldest.Since.Add(driftPeriod)
		}
	}
	if i := lastDrift(records, o); i >= 0 && !records[i].At.After(now) {
		at = later(at, records[i].Until)
		if times, _ := driftsOf(records, o, now); times > 0 {
			at = later(at, records[i].At.Add(driftPause<<min(times-1, maxDrifts)))
		}
	}
	return at
}

// nextDrift is the first time after now at which an object on record may be
// looked at again; the zero time if there is none.
func nextDrift(records []DriftRecord, now time.Time) time.Time {
	var next time.Time
	for _, r := range records {
		if at := driftDue(records, r.Object, now); at.After(now) && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	return next
}

// serving is the release whose objects are meant to be in the cluster: nil while
// a newer one is under way, and where one has failed without making way for it.
func serving(releases []Release) *Release {
	good := current(releases)
	if good == nil {
		return nil
	}
	newest := releases[len(releases)-1]
	back := newest.Status.Phase == RolledBack && newest.Status.RestoredTo == good.Number
	if newest.Number == good.Number || back {
		return good
	}
	return nil
}
