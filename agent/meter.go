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
	// Reports are the ways that do not show what is durable; nil if all do.
	Reports map[Way]Lag
}

// Lag is what a way does not show yet.
type Lag struct {
	Count int       // of releases
	Since time.Time // that so long ago were what the way does not show
}

// Waiting is the backlog of a line, whose releases these are, and of what ways have
// to show of it.
func Waiting(releases []Release, ways []Way) Backlog {
	var b Backlog
	for _, r := range releases {
		if !r.Status.Phase.Terminal() {
			b.Deploy = earlier(b.Deploy, r.Status.At(StepAdmitted))
		}
		for _, way := range ways {
			// A word that is held back for a moment counts as what it is: not said.
			if r.late(way, releases).unreported(way) && len(r.Status.Timeline) > 0 {
				b.lags(way, r)
			}
		}
	}
	return b
}

// lags notes that the way does not show r.
func (b *Backlog) lags(way Way, r Release) {
	since := r.Status.At(StepVerdict)
	if since.IsZero() {
		since = r.Status.last()
	}
	if b.Reports == nil {
		b.Reports = map[Way]Lag{}
	}
	b.Reports[way] = Lag{b.Reports[way].Count + 1, earlier(b.Reports[way].Since, since)}
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
