package agent

import "time"

// unmetered is the Meter and Pulse where nobody counts.
type unmetered struct{}

func (unmetered) Moved(Release, Status) {}
func (unmetered) Refused(Refusal)       {}
func (unmetered) Beat()                 {}
func (unmetered) Polled(string, error)  {}

// Backlog is since when the oldest work of a line has been waiting; zero where
// none waits.
type Backlog struct {
	Deploy time.Time // of a release without a verdict, since it was admitted
	Report time.Time // of a check that does not show what is durable, since that was so
}

// Waiting is the backlog of a line, whose releases these are.
func Waiting(releases []Release) Backlog {
	var b Backlog
	for _, r := range releases {
		if !r.Status.Phase.Terminal() {
			b.Deploy = earlier(b.Deploy, r.Status.At(StepAdmitted))
		}
		// A word that is held back for a moment counts as what it is: not said.
		if r.late(releases).unreported() && len(r.Status.Timeline) > 0 {
			since := r.Status.Timeline[len(r.Status.Timeline)-1].At
			if verdict := r.Status.At(StepVerdict); !verdict.IsZero() {
				since = verdict
			}
			b.Report = earlier(b.Report, since)
		}
	}
	return b
}

// RestoredAfter is how long the line of r, which has succeeded, had gone without
// a success since the first failure after the last one; zero where there was none.
func RestoredAfter(r Release, releases []Release) time.Duration {
	var failed time.Time
	for _, old := range releases {
		switch {
		case old.Number >= r.Number:
		case old.Status.Phase == Succeeded:
			failed = time.Time{}
		case old.Status.Phase == Failed || old.Status.Phase == RolledBack:
			failed = earlier(failed, old.Status.At(StepVerdict))
		}
	}
	if failed.IsZero() {
		return 0
	}
	return r.Status.At(StepVerdict).Sub(failed)
}

// earlier is the earlier of two moments; the zero time is none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
