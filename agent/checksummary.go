package agent

import (
	"fmt"
	"strings"
)

// How much of what others say is shown, in characters. What is stored is longer.
const (
	maxMessage = 1500 // of a cause, a refusal
	maxRule    = 256  // the name of a policy's rule
	maxActor   = 100  // GitHub's own names have 39
	maxNote    = 500
	maxServed  = 64 // rows of services; as many as a Release's schema holds
)

// summary says what happened, what was done, and what to do next; then how the
// services stand and what is different about the release.
func (r Release) summary(v view) string {
	var b strings.Builder
	say := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n\n", args...) }
	if cause := r.Status.Cause; cause != nil && r.Status.Phase != Superseded {
		say("%s", bold(clip(cause.Message, maxMessage)))
		if done := r.aftermath(v); done != "" {
			say("%s", done)
		}
		say("**Next:** %s.", strings.TrimSuffix(plain(clip(cause.Next, maxMessage)), "."))
	} else {
		say("%s", r.news(v))
	}
	if r.Note != "" {
		say("%s: %s.", r.Reason, plain(clip(r.Note, maxNote)))
	}
	if table := r.services(); table != "" {
		if r.Status.Cause != nil && r.Status.Phase != Superseded { // what serves is another one
			say("**Release %d, when it failed**", r.Number)
		}
		say("%s", table)
	}
	if changes := r.changes(v); changes != "" && r.Status.Phase != Superseded {
		say("%s", changes)
	}
	return fit(maxText, words(b.String()))
}

// news is what there is to say of a release that has no cause to fail.
func (r Release) news(v view) string {
	if r.Parked {
		return r.parkedNews()
	}
	which := fmt.Sprintf("Release %d of %s in %s", r.Number, code(r.Line.App), code(r.Line.Environment))
	serves := ""
	if before := v.before(r); before != nil {
		serves = fmt.Sprintf(" Release %d serves until then.", before.Number)
	}
	switch r.Status.Phase {
	case Pending, "":
		return which + " is admitted and waits its turn." + serves
	case Provisioning:
		return which + " waits for its databases. Nothing of the app has changed yet." + serves
	case Seeding:
		return which + " runs its seed command, which is run once in a preview. Nothing of the app has changed yet." + serves
	case Predeploying:
		return which + " runs its predeploy command. Nothing of the app has changed yet." + serves
	case Applying, RollingOut:
		if r.waits() {
			return fmt.Sprintf("%s\n\nNothing to do: it goes on once the node is there, and is red if none comes within %s.%s", bold(clip(r.Status.Message, maxMessage)), took(nodePatience), serves)
		}
		return which + " is rolling out." + serves
	case Succeeded:
		if !v.serves(r) && len(v.Releases) > 0 {
			return which + " was live. A newer one has taken its place since."
		}
		return which + " is live" + v.at() + "."
	case Superseded:
		if r.Removed {
			return r.removedSummary()
		}
		by := v.newer(r.Source.Repository, r.Status.SupersededBy)
		if !r.Status.At(StepReady).IsZero() {
			return "It was live, and " + by + " took its place before this could be said here. Nothing to do."
		}
		return "Superseded by " + by + ", which is newer. Nothing to do."
	case Restoring, Failed, RolledBack:
	}
	return which + " failed."
}

// at is " at" and where the environment answers; empty if it has no address.
func (v view) at() string {
	address := webAddress(v.Environment.URL)
	if address == "" {
		return ""
	}
	_, host, _ := strings.Cut(v.Environment.URL, "://")
	return " at " + link(escaped(clip(strings.TrimSuffix(host, "/"), maxNamed)), address) // the platform owner's word, which people copy
}

// aftermath says what was done about a failure, and what serves; empty until that
// is certain.
func (r Release) aftermath(v view) string {
	wrote := r.wrote()
	switch before := v.before(r); {
	case r.Status.RestoredTo != 0 && wrote:
		return fmt.Sprintf("Rolled back to release %d%s. Release %d never stopped serving.", r.Status.RestoredTo, r.restoredIn(), r.Status.RestoredTo)
	case r.Status.RestoredTo != 0:
		return fmt.Sprintf("This release changed nothing of the app: release %d goes on serving.", r.Status.RestoredTo)
	case r.Status.Phase == Restoring && before != nil:
		return fmt.Sprintf("Release %d is being put back.", before.Number)
	case r.Status.Phase == Failed && r.Status.SupersededBy != "":
		return fmt.Sprintf("%s is newer, and came before an earlier release was back in place.", v.newer(r.Source.Repository, r.Status.SupersededBy))
	case r.leftAsItFailed():
		return "Automatic rollback is off (`autoRollback: false`): the objects of this release are left as they are, and older pods go on serving as far as they were not replaced yet."
	case r.Status.Phase == Failed && wrote && before == nil:
		return "There is no earlier good release to go back to: the objects are left as they are."
	case r.Status.Phase == Failed && wrote:
		return "No earlier good release was put back: the objects are left as they are."
	case r.Status.Phase == Failed:
		return "This release changed nothing of the app."
	}
	return ""
}

// restoredIn is how long it took from the verdict until the release before was
// back in place.
func (r Release) restoredIn() string {
	restored := r.Status.At(StepRestored)
	if restored.IsZero() { // it was restored by an agent that did not note it
		return ""
	}
	return " in " + took(restored.Sub(r.Status.At(StepVerdict)))
}

// wrote reports whether a release that failed may have written objects of the
// app: all of them, or a part before it gave up. A try that is refused writes
// none, and databases and commands come before them.
func (r Release) wrote() bool {
	before := r.amid() || r.unprovided()
	gaveUp := r.Status.Cause != nil && r.Status.Cause.Kind == CauseNoProgress && !before
	return gaveUp || !r.Status.At(StepApplied).IsZero()
}

// services is a table of how far each service has come.
func (r Release) services() string {
	if len(r.Status.Services) == 0 {
		return ""
	}
	image := shortDigest(r.Image)
	lines := []string{"| service | desired | ready | restarts | image |", "|---|---|---|---|---|"}
	for _, s := range r.Status.Services[:min(len(r.Status.Services), maxServed)] {
		lines = append(lines, fmt.Sprintf("| %s | %d | %s %d | %d | `%s` |", plain(s.Name), s.Desired, r.sign(s), s.Ready, s.Restarts, image))
	}
	return strings.Join(lines, "\n")
}

// sign is what one sees from afar of a service.
func (r Release) sign(s ServiceStatus) string {
	switch {
	case s.Ready >= s.Desired:
		return "✅"
	case r.Status.Phase.Terminal() || r.Status.Phase == Restoring:
		return "❌"
	}
	return "⏳"
}
