package agent

import (
	"fmt"
	"slices"
	"strings"
)

// title says how the release goes in one line of plain text.
func (r Release) title(v view) string {
	if r.Parked {
		return "Waiting for room for its preview"
	}
	parts := []string{r.state(v)}
	switch r.Status.Phase {
	case Pending, "":
		parts = append(parts, fmt.Sprintf("release %d", r.Number))
	case Provisioning, Predeploying, Seeding:
		parts = append(parts, r.meanwhile(v))
	case Applying, RollingOut:
		parts = append(parts, r.progress())
	case Succeeded:
		if r.Reason == ReasonRollback {
			parts = append(parts, "live in "+r.liveIn())
		} else {
			parts = append(parts, count(len(r.App.Services), "service"))
		}
		parts = append(parts, short(r.deployed(v.Releases)))
	case Restoring, Failed, RolledBack:
		parts = append(parts, r.left(v))
	case Superseded:
	}
	parts = slices.DeleteFunc(parts, func(part string) bool { return part == "" })
	return oneLine(strings.Join(parts, " · "))
}

// state is the first word of the title, and what belongs to it.
func (r Release) state(v view) string {
	switch r.Status.Phase {
	case Pending, "":
		return "Queued"
	case Provisioning:
		return "Starting its databases"
	case Predeploying:
		return "Running the predeploy command"
	case Seeding:
		return "Running the seed command"
	case Applying, RollingOut:
		if r.waits() {
			return "Waiting for a node"
		}
		return "Rolling out"
	case Succeeded:
		switch {
		case r.Reason == ReasonRollback && r.Restore != 0:
			return fmt.Sprintf("Rolled back to release %d", r.Restore)
		case r.Reason == ReasonRollback:
			return "Rolled back to " + short(r.deployed(v.Releases))
		}
		if r.Status.At(StepVerdict).IsZero() { // nobody noted when
			return "Live"
		}
		return "Live in " + r.liveIn()
	case Superseded:
		return orElse(r.Status.Message, "Superseded")
	case Restoring, Failed, RolledBack:
	}
	if r.Status.Cause == nil {
		return "Failed"
	}
	return r.Status.Cause.headline() // lists show little, and a red sign beside it
}

// liveIn is how long it took from seeing the intent to the verdict.
func (r Release) liveIn() string {
	return took(r.Status.At(StepVerdict).Sub(r.Status.At(StepNoticed)))
}

// progress is how many services have come.
func (r Release) progress() string {
	all, ready := len(r.App.LongRunning()), 0
	for _, s := range r.Status.Services {
		if s.Ready >= s.Desired {
			ready++
		}
	}
	if len(r.Status.Services) == 0 || all == 0 {
		return count(len(r.App.Services), "service")
	}
	return fmt.Sprintf("%d of %s ready", min(ready, all), count(all, "service"))
}

// meanwhile says what serves while the release does not yet.
func (r Release) meanwhile(v view) string {
	if before := v.before(r); before != nil {
		return fmt.Sprintf("release %d still serves", before.Number)
	}
	return ""
}

// left says in a few words what serves after a failure.
func (r Release) left(v view) string {
	switch before := v.before(r); {
	case r.Status.RestoredTo != 0:
		return fmt.Sprintf("release %d still serves", r.Status.RestoredTo)
	case r.Status.Phase == Restoring && before != nil:
		return fmt.Sprintf("putting release %d back", before.Number)
	case r.Status.Phase == Restoring:
		return ""
	case r.Status.SupersededBy != "":
		return short(r.Status.SupersededBy) + " is newer"
	case r.leftAsItFailed():
		return "left as it is"
	case before != nil && !r.wrote():
		return fmt.Sprintf("release %d still serves", before.Number)
	case before != nil:
		return fmt.Sprintf("release %d is not back in place", before.Number)
	}
	return "nothing served before"
}
