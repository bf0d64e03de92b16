package agent

import (
	"fmt"
	"slices"
	"time"
)

// Ways are the ways out that the agent has a port for, those first of which a
// workflow may wait for the verdict.
func (p Ports) Ways() []Way {
	var ways []Way
	for _, way := range []struct {
		Way
		on bool
	}{
		{WayCheck, p.Checks != nil},
		{WayStatus, p.Statuses != nil},
		{WayReceipt, p.Receipts != nil},
		{WayDeployment, p.Deployments != nil},
		{WayComment, p.Comments != nil},
	} {
		if way.on {
			ways = append(ways, way.Way)
		}
	}
	return ways
}

// waited reports whether a workflow may wait for what the way says: of it a success
// that is over never turns green, and of it refusals are told.
func (w Way) waited() bool { return w == WayCheck || w == WayStatus || w == WayReceipt }

// waitingPhase is what a check run shows of a rollout that waits out of the
// ordinary; no release has it as its phase.
const waitingPhase = "Waiting"

// asleepPhase is what a comment shows of what was put to sleep; no release has it as
// its phase.
const asleepPhase = "Asleep"

// phase is the phase of r as far as the way tells phases apart: what is written in
// GitHub's lists is written as seldom as it may.
func (r Release) phase(way Way) Phase {
	shown := r.Status.Phase
	if shown == "" {
		shown = Pending
	}
	if shown == Applying {
		shown = RollingOut
	}
	switch {
	case way == WayComment && r.Asleep:
		return asleepPhase
	case r.Parked || way.waited() && r.waits():
		return waitingPhase
	case way.waited():
		return shown
	case shown == Provisioning || shown == Predeploying || shown == Seeding || shown == Restoring || way == WayComment && shown == Pending:
		return RollingOut
	}
	return shown
}

// shows is what the way shows of r as it is.
func (r Release) shows(way Way) Reported {
	shown := Reported{Way: way, Phase: r.phase(way)}
	if r.Status.Phase == RollingOut && (way == WayCheck || way == WayReceipt) {
		shown.Ready = r.Status.ready()
	}
	return shown
}

// unreported reports whether the way shows something else than r, and nobody has
// given up on that. This and the durable status are the outbox. What has succeeded
// is asked for as late shows it.
func (r Release) unreported(way Way) bool {
	if way == WayComment && r.Source.PullRequest == 0 {
		return false
	}
	if r.Parked && way == WayDeployment { // nothing is deployed yet
		return false
	}
	shown := r.Status.Shown(way)
	shown.ID = 0
	return shown != r.shows(way)
}

// quietTime is how long nothing is said of a release that is put back. That takes
// a moment, and GitHub wants one between two writes, so that a word of it would
// only make the red one late. What takes longer may last for applyDeadline.
const quietTime = 5 * time.Second

// due reports whether the way is to be brought in step now.
func (r Release) due(way Way, now time.Time) bool {
	verdict := r.Status.At(StepVerdict)
	quiet := r.Status.Phase == Restoring && !now.Before(verdict) && now.Before(verdict.Add(quietTime))
	return r.unreported(way) && !quiet
}

// late is r as the way may show it now, where releases are all of its line. A
// check turns green while its commit serves, or never, and so does what stands for
// one: what has succeeded unsaid, and has been overtaken by another success since,
// is shown as superseded. What is green already stays so, but for a deployment,
// which says what serves now.
func (r Release) late(way Way, releases []Release) Release {
	green := way.waited() && r.Status.Shown(way).Phase == Succeeded
	if r.Status.Phase != Succeeded || green || way == WayComment {
		return r
	}
	i := slices.IndexFunc(releases, func(other Release) bool { return other.Number > r.Number && other.Status.Phase == Succeeded })
	if i < 0 {
		return r
	}
	by := releases[i].deployed(releases)
	lived := releases[i].Status.At(StepVerdict).Sub(r.Status.At(StepVerdict)).Round(100 * time.Millisecond)
	r.Status.Phase, r.Status.SupersededBy = Superseded, by
	r.Status.Message = fmt.Sprintf("Was live for %s, then superseded by %s", lived, short(by))
	return r
}

// tells reports whether the way tells of r at all. A receipt is for whoever has
// published the intent, a stranger too: the others write where r was trusted.
func (r Refusal) tells(way Way) bool {
	switch way {
	case WayCheck, WayStatus:
		return r.Repository != ""
	case WayReceipt: // the agent of the other app answers: nobody waits for two
		return r.Intent != "" && r.Rule != ruleApp
	case WayDeployment, WayComment:
	}
	return false
}

// Unreported reports whether the way has yet to tell of r.
func (r Refusal) Unreported(way Way) bool { return r.tells(way) && !slices.Contains(r.Reported, way) }
