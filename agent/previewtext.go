package agent

import (
	"fmt"
	"strings"

	"github.com/inhaul/inhaul/spec"
)

// closedMessage is why a late deploy of a pull request that is closed is superseded.
func closedMessage(why string) string {
	return "the pull request was closed or wants no preview, and this is older: " + why
}

// removedTitle is what is told of a release whose preview was taken away.
func removedTitle(r Release, why string) string {
	if r.Status.Phase == Succeeded {
		return "Was live, until its preview was removed"
	}
	return "Superseded: " + why
}

// title is the end of a preview in one line.
func (e end) title() string {
	switch {
	case e.destroy.Nothing:
		return "Nothing to remove"
	case e.destroy.Kept:
		return "Not removed: the namespace is not the agent's any more"
	case e.destroy.phase(e.preview) == destroyedPhase:
		return "Preview removed in " + took(e.destroy.DoneAt.Sub(e.destroy.At))
	case e.destroy.phase(e.preview) == waitingPhase:
		return "Removing the preview takes long"
	}
	return "Removing the preview"
}

// summary says what happened to the preview, why, and what to do next.
func (e end) summary() string {
	switch {
	case e.destroy.Nothing:
		return fmt.Sprintf("The pull request was closed or wants no preview. There was none of %s for it. Nothing to do.", code(e.preview.Line.App))
	case e.destroy.Kept:
		return fmt.Sprintf("The pull request was closed or wants no preview, but the labels of its namespace %s do not say any more that it is the agent's: somebody has changed them, or made another of that name. It was left alone, and what runs there goes on.\n\n**Next:** the platform owner looks at who needs it, and deletes it if nobody does: %s.",
			code(e.preview.Namespace), code("kubectl delete namespace "+e.preview.Namespace))
	case e.destroy.phase(e.preview) == destroyedPhase && e.preview.Group != "":
		return fmt.Sprintf("The pull request was closed or wants no preview: all of %s is gone from the namespace %s, which goes with the last app of group %s. The next run of an open pull request makes it anew.",
			code(e.preview.Line.App), code(e.preview.Namespace), code(e.preview.Group))
	case e.destroy.phase(e.preview) == destroyedPhase:
		return fmt.Sprintf("The pull request was closed or wants no preview: the namespace %s is gone with all that was in it. The next run of an open pull request makes it anew.", code(e.preview.Namespace))
	case e.destroy.phase(e.preview) == waitingPhase:
		return fmt.Sprintf("The pull request was closed or wants no preview, and its namespace %s does not end: %s.\n\n**Next:** the platform owner looks at what holds it: %s. The agent goes on trying.",
			code(e.preview.Namespace), plain(clip(e.preview.Message, maxMessage)), code("kubectl get namespace "+e.preview.Namespace+" -o yaml"))
	}
	return fmt.Sprintf("The pull request was closed or wants no preview: the namespace %s is being deleted, once the teardown command has ended if there is one.", code(e.preview.Namespace))
}

// check is the end of a preview as the check run of the intent that asked for it.
func (e end) check(v view) Check {
	d := e.destroy
	c := Check{
		Repository: d.Source.Repository, Commit: d.Source.Commit, ExternalID: d.Intent,
		Name: CheckName(e.preview.Line, d.Source.RepositoryID, v.Apps), Status: InProgress, StartedAt: d.At,
		Title: e.title(), Summary: e.summary() + e.tornDown(),
		Text: e.text(v), DetailsURL: v.run(d.Source.Repository, d.Source.RunID, d.Source.RunAttempt),
	}
	if d.phase(e.preview) == destroyedPhase {
		c.Status, c.Conclusion, c.CompletedAt = Completed, Success, d.DoneAt
	}
	if d.Kept {
		c.Conclusion = Neutral
	}
	return c
}

// text says who asked, and what let them.
func (e end) text(v view) string {
	d := e.destroy
	run := link(fmt.Sprintf("run %d, attempt %d", d.Source.RunID, d.Source.RunAttempt), v.run(d.Source.Repository, d.Source.RunID, d.Source.RunAttempt))
	return fmt.Sprintf("- Asked for by %s · %s\n- Allowed by policy rule %s · signed by %s\n- Intent %s\n\n%s",
		plain(clip(d.Source.Actor, maxActor)), run, code(clip(d.Rule, maxRule)), code(d.Evidence.Scheme), code(d.Intent),
		noRerun(v.run(d.Source.Repository, d.Source.RunID, 0))) + e.lastLines()
}

// teardownFailed is what became of the teardown command in a few words; empty if it
// ended well, or there was none.
func (d Destroy) teardownFailed() string {
	if d.Teardown == nil {
		return ""
	}
	return "teardown failed: " + strings.TrimPrefix(d.Teardown.Message, string(TaskTeardown)+": ")
}

// tornDown is a passage on a teardown command that did not end well.
func (e end) tornDown() string {
	failed := e.destroy.teardownFailed()
	if failed == "" || e.destroy.DoneAt.IsZero() || e.destroy.Kept {
		return ""
	}
	return fmt.Sprintf("\n\n%s; the preview was removed all the same.\n\n**Next:** %s.",
		bold(clip(failed, maxMessage)), strings.TrimSuffix(plain(clip(e.destroy.Teardown.Next, maxMessage)), "."))
}

// lastLines are what a teardown command said that did not end well.
func (e end) lastLines() string {
	c := e.destroy.Teardown
	if c == nil || c.Log == "" {
		return ""
	}
	return "\n\n" + fit(maxText/2, folded("Last lines of the teardown command", c.Log, true))
}

// commitStatus is the end of a preview as a commit status.
func (e end) commitStatus(v view) CommitStatus {
	s := CommitStatus{
		Repository: e.destroy.Source.Repository, Commit: e.destroy.Source.Commit, State: statusPending,
		Context: CheckName(e.preview.Line, e.destroy.Source.RepositoryID, v.Apps), Description: clip(e.title(), maxDescription),
		URL: v.run(e.destroy.Source.Repository, e.destroy.Source.RunID, e.destroy.Source.RunAttempt),
	}
	if e.destroy.phase(e.preview) == destroyedPhase {
		s.State = statusSuccess
	}
	return s
}

// removedSummary says of a release that its preview is gone.
func (r Release) removedSummary() string {
	return fmt.Sprintf("%s. Nothing to do.", strings.TrimSuffix(r.Status.Message, "."))
}

// standing is the row of p in the comment on the pull request, if that had a preview
// that is over.
func (p Preview) standing(repository string, number int) (row Standing, told bool) {
	n, _ := spec.PreviewNumber(p.Line.Environment)
	if p.Phase == PreviewWaiting && p.Waiting != nil {
		return p.waitingRow(), p.Repository == repository && n == number
	}
	over := p.Phase == PreviewDestroying || p.Phase == PreviewDestroyed
	if p.Repository != repository || n != number || !over || p.CreatedAt.IsZero() && p.Comment == 0 {
		return Standing{}, false
	}
	row = Standing{Environment: p.Line.Environment, Phase: Succeeded, Destroyed: true, Note: p.why()}
	if p.Phase == PreviewDestroying {
		row.Phase, row.Note = RollingOut, orElse(p.Message, row.Note)
	}
	if n := len(p.Destroys); n > 0 {
		if failed := p.Destroys[n-1].teardownFailed(); failed != "" && p.Phase == PreviewDestroyed {
			row.Note += "; " + oneLine(failed) + "; it was removed all the same"
		}
	}
	if n := len(p.Destroys); n > 0 && p.Destroys[n-1].Kept {
		row.State, row.Note = "⚪ Left alone", p.why()+", but its namespace is not the agent's any more"
	} else if n > 0 {
		row.Next = p.Destroys[n-1].Reason.next()
	}
	return row, true
}
