package agent

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// watchOver looks at what somebody else has done to the objects of the release
// that serves, and puts it back or puts it on record, as the App says. It is part
// of a line's turn, so it never meets a rollout; a newer release cuts it short, and
// so does applyTimeout: it is then tried again.
// While nobody touches anything it costs no request.
//
// The record is durable before anything is put back: an agent that dies in
// between finds the drift again, and counts it twice at worst.
func (a *Agent) watchOver(ctx context.Context, line Line) error {
	a.watching(line, true) // before the releases are read: one that comes after that interrupts
	defer a.watching(line, false)
	good := a.asRecorded(serving(a.Reader.Releases(line)))
	policy, declared := a.driftPolicy(line)
	if good == nil || !declared {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	now, records := a.now(), good.Status.Drift
	defer func() { a.lookAgain(line, earlier(nextDrift(records, a.now()), a.bedtime(line))) }()
	found, err := a.Drifts.Drifted(ctx, *good, policy, func(o Object) bool { return driftDue(records, o, now).After(now) })
	if err != nil {
		return fmt.Errorf("looking for drift of release %d of %s: %w", good.Number, line, err)
	}
	if len(found) == 0 {
		return nil
	}
	kept, revert := JudgeDrift(records, found, policy, now)
	r := *good
	if !slices.EqualFunc(kept, records, DriftRecord.equal) {
		if r, err = a.advance(ctx, r, func(s *Status) { s.Drift = kept }); err != nil {
			return err
		}
		a.tell(r, kept, now)
	}
	records = kept
	var reported []Object
	for _, d := range found {
		if i := lastDrift(kept, d.Object); i >= 0 && kept[i].Action == DriftReported {
			reported = append(reported, d.Object)
		}
	}
	if err := a.Drifts.Settle(ctx, r, objectsOf(revert), reported); err != nil {
		return fmt.Errorf("putting back drift of release %d of %s: %w", good.Number, line, err)
	}
	return nil
}

// equal reports whether two records say the same.
func (r DriftRecord) equal(other DriftRecord) bool {
	return r.same(other.Drift) && r.Refused == other.Refused && r.Action == other.Action && r.Times == other.Times &&
		r.At.Equal(other.At) && r.Since.Equal(other.Since) && r.Until.Equal(other.Until)
}

func objectsOf(drifts []Drift) []Object {
	objects := make([]Object, 0, len(drifts))
	for _, d := range drifts {
		objects = append(objects, d.Object)
	}
	return objects
}

// tell logs those of records that were found at now.
func (a *Agent) tell(r Release, records []DriftRecord, now time.Time) {
	for _, d := range records {
		if !d.At.Equal(now) {
			continue
		}
		a.log.Info("drift found", "environment", r.Line.Environment, "release", r.Number,
			"kind", d.Object.Kind, "namespace", d.Object.Namespace, "name", d.Object.Name, "reason", d.String())
	}
}

// driftPolicy is the App's word on a line; false if there is none: nobody says
// any more what should be there.
func (a *Agent) driftPolicy(line Line) (DriftPolicy, bool) {
	app, _ := a.app(line.App)
	for _, e := range app.Environments {
		if e.Name == line.Environment {
			return e.Drift, true
		}
	}
	return "", false
}

// watching notes whether the line's turn is at its drift.
func (a *Agent) watching(line Line, is bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if is {
		a.watched[line] = true
	} else {
		delete(a.watched, line)
	}
}

// lookAgain gives the line a turn at the given time, the zero time aside; it
// takes the place of an earlier such word.
func (a *Agent) lookAgain(line Line, at time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if alarm := a.alarms[line]; alarm != nil {
		alarm.Stop()
		delete(a.alarms, line)
	}
	if !at.IsZero() {
		ended := a.lines.ctx.Done()
		a.alarms[line] = time.AfterFunc(at.Sub(a.now())+time.Millisecond, func() {
			select { // Run wakes the line: nobody else may once it waits for the last turns
			case a.due <- line:
			case <-ended:
			}
		})
	}
}
